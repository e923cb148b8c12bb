// Which sizes of the data axis a job can run with: the size of its mesh, and the shorter ones a
// failure may leave it with, down to the axis's `min`.
//
// Pure; safe for the deciding cores.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "muster/v1/job.pb.h"
#include "spec/validate.h"

namespace muster::spec {

// Longest first, from the size itself down to `min`; the size alone when there is none, nothing
// without a data axis. The native trainer keeps its global batch, so only sizes that divide it are
// usable; any size is for a program.
std::vector<uint32_t> UsableDataSizes(const v1::JobSpec& spec);

// "data 4, after failures 2, 1"; empty when it never gets shorter.
std::string DataSizesText(const v1::JobSpec& spec);

// The same job with another size of its data axis.
v1::JobSpec WithDataSize(const v1::JobSpec& spec, uint32_t size);

// Appends what is wrong with `min` of the axes.
void FindMinProblems(const v1::JobSpec& spec, std::vector<Problem>* problems);

}  // namespace muster::spec
