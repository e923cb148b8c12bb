// Where and when a job may run, and why it does not, as text for people.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job.pb.h"

namespace muster::cli {

// "Queue: …", "Limits: …", "After: …", "Nodes: …", "Spares: …": what the job asks for, a line
// each, only where it asks for anything.
std::string ScheduleText(const v1::Job& job);

// What would let a waiting job start, and when; empty for one that does not wait.
std::string WaitText(const v1::Job& job, int64_t now_unix_ms);

// "data=4,tensor=8 (within nvlink)".
std::string DomainMeshText(const v1::JobSpec& spec);

// "queued (held)".
std::string JobStateText(const v1::Job& job);

}  // namespace muster::cli
