// A training job that passes every check at any size of its data axis that divides 60.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

v1::JobSpec ValidJob(const std::string& name, uint32_t ranks, uint64_t steps);

}  // namespace muster::coordinator::core
