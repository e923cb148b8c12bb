// The words of a pass: why a job starts here, why it waits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/shortage.h"

namespace muster::coordinator::scheduler {

std::string JobsText(const std::vector<JobId>& jobs);  // "job 3", "jobs 3, 5 and 2 more"

// "4 ranks on n1 (0-1), n2 (2-3): same nodes as attempt 1"
std::string StartText(const WaitingJob& job, const std::vector<v1::NodeShare>& shares,
                      const std::vector<NodeId>& spares);

// "starts when job 3 ends, in 2h 05m at most"; `within` infinite: not known.
std::string AfterText(const std::vector<JobId>& jobs, absl::Duration within);

// "jobs 7, 9 are stopping and leave 16 slots within 30.0 s"; not `already`: "will be stopped".
std::string VacatingText(const std::vector<JobId>& jobs, uint64_t slots, absl::Duration within,
                         bool already);

}  // namespace muster::coordinator::scheduler
