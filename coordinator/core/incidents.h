// Failures on their way into records: evidence is collected, judged, and given an incident.
#pragma once

#include <string>
#include <vector>

#include "coordinator/core/attempt.h"
#include "coordinator/core/turn.h"

namespace muster::coordinator::core {

// Something went wrong in the job's live attempt. Stops it if it is good. If it is being stopped
// for a failure already, the evidence joins what is known: another root is recorded at once, the
// rest with the end of the attempt. An attempt that stops for another reason keeps it.
void FailAttempt(Turn& turn, Job& job, std::vector<v1::Evidence> evidence);

// Evidence about a whole node: `kind` is NODE_GONE, NODE_SILENT or SHIM_DIED.
v1::Evidence NodeEvidence(const Turn& turn, v1::EvidenceKind kind, const Node& node,
                          const std::string& text);

// The rest of a failure's record: incident, evidence, blame.
void FillFailure(const ClusterState& state, const Job& job, const Attempt& attempt,
                 v1::AttemptStopping* stopping);

// Before the attempt's end: evidence that came in since.
void RecordLateEvidence(Turn& turn, Job& job);

// The incidents that changed in this Step, for those who watch.
void TellIncidents(Turn& turn);

// The incident as people see it now. `full`: with evidence.
v1::Incident IncidentView(const ClusterState& state, const IncidentEntry& entry, bool full);

}  // namespace muster::coordinator::core
