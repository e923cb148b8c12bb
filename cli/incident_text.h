// Incidents for people.
#pragma once

#include <string>

#include "muster/v1/incident.pb.h"

namespace muster::cli {

// A line each; `wide`: seconds per phase and cost too.
std::string IncidentTable(const v1::ListIncidentsResponse& incidents, int64_t now_unix_ms,
                          bool wide);

// One page: the line, who and where, the evidence with its roles and last lines, what was done,
// where the seconds went, what it cost.
std::string IncidentPage(const v1::Incident& incident);

}  // namespace muster::cli
