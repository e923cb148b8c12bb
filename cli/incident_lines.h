// The incidents of one job as lines, each told when it begins, when it comes to wait for room or a
// person, and when it is over; for a terminal that looks again and again.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "muster/v1/incident.pb.h"

namespace muster::cli {

class IncidentLines {
 public:
  // The job's incidents from `since_unix_ms` on, in any order. The lines that are news, by
  // incident. Those that were over at the first look are not.
  std::vector<std::string> Take(const v1::ListIncidentsResponse& incidents);
  // No incident that began earlier has anything new to say; by the coordinator's clock.
  int64_t since_unix_ms() const { return since_unix_ms_; }

 private:
  std::map<uint64_t, v1::IncidentState> told_;
  bool looked_ = false;
  int64_t since_unix_ms_ = 0;
};

}  // namespace muster::cli
