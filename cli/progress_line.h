// How far a job is, how fast, how long still.
#pragma once

#include <cstdint>
#include <string>

#include "common/terminal.h"
#include "muster/v1/job.pb.h"

namespace muster::cli {

// "step 40/200  loss 2.3134  5.2k tokens/s  eta 1m 04s".
std::string ProgressText(const v1::Progress& progress);

// "950", "5.2k", "1.3M".
std::string CountText(double value);

}  // namespace muster::cli
