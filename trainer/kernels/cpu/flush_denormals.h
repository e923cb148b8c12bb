// Denormal numbers are taken as zero by the calling thread from here on (FTZ and DAZ): they cost
// 3-5 times as much and mean nothing here. Call it first in every thread that computes.
#pragma once

namespace muster::trainer::kernels::cpu {

void FlushDenormals();

}  // namespace muster::trainer::kernels::cpu
