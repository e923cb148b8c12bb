// What one Step decided, one line each, in the order it is carried out.
#pragma once

#include <map>
#include <string>

#include "coordinator/core/outcome.h"

namespace muster::scenarios {

// `names` says which node a session belongs to.
std::string Trace(const coordinator::core::Outcome& outcome,
                  const std::map<SessionId, std::string>& names);

std::string JobLine(const v1::Job& job);
std::string NodeLine(const v1::Node& node);
std::string IncidentLine(const v1::Incident& incident);
std::string IncidentLines(const v1::Incident& incident);  // with evidence, phases and actions
std::string NodeStory(const v1::GetNodeResponse& response);
std::string QueueLine(const v1::Queue& queue);
std::string EventLine(const v1::JobEvent& event);
// "wall 12.0 = productive 10.0 + startup 2.0; slots 48.0; 3 steps recomputed"
std::string LedgerLine(const v1::Ledger& ledger);
std::string PlanLine(const v1::PlanJobResponse& plan, absl::Time now);
// The job, and what a waiting one waits for.
std::string WaitLines(const v1::Job& job, absl::Time now);

}  // namespace muster::scenarios
