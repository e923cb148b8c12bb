// Where the wall time of a job went, computed from its attempts. The kinds sum to the wall time.
#pragma once

#include <cstdint>

#include "coordinator/core/job_table.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

// From the first placement to the end of the job, or to `now_unix_ms` while it lives.
v1::JobAccounting AccountOf(const Job& job, int64_t now_unix_ms);

}  // namespace muster::coordinator::core
