// Failures in words: who, how, in which step.
#pragma once

#include <string>

#include "coordinator/core/attempt.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

// The step a rank is in; outside of steps the last one it finished.
uint64_t StepOf(const v1::Progress& progress);

// text: "rank 3 on n2 killed by SIGKILL in step 41"
v1::Evidence EvidenceOf(const RankFailure& failure, v1::AttemptState state, int64_t seen_unix_ms);

v1::FailureCause CauseOf(const v1::Evidence& evidence);

v1::FailureCause CauseOnNode(const NodeId& node, const std::string& text);

// For a line of its own: "rank 0 on n1: exited 1 at start: ValueError: no such file"
std::string ShownCause(const v1::FailureCause& cause);

// The cause and the rank's last line: "rank 0 on n1 exited 1 at start: ValueError: no such file"
std::string CauseWithLastLine(const v1::FailureCause& cause);

// "rank failed", "node lost", ...
std::string OutcomeText(v1::AttemptOutcome outcome);

}  // namespace muster::coordinator::core
