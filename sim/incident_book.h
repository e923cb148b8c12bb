// Which job is being repaired, and by which incident, told from the records alone: the judge of
// what the core says about its incidents.
//
// An incident of a job is open from the record of its failure until a later attempt has caught up,
// or the job ends. While it is, a job either has an attempt that repairs it, or waits and says for
// what.
//
// Time, threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "coordinator/core/cluster.h"
#include "muster/v1/journal.pb.h"
#include "sim/journal_view.h"

namespace muster::sim {

class IncidentBook {
 public:
  // The next record. Empty, or "incidents: …".
  std::string Take(const v1::Record& record);

  // Asks the cluster whose records these are (and `view` is of) what is open, and how the newest
  // that were are. Empty, or "incidents: …".
  std::string Check(const coordinator::core::Cluster& cluster, const JournalView& view);

  // No job is left: every incident is over, its phases add up, and what was given up has a cause.
  std::string CheckAllOver(const coordinator::core::Cluster& cluster) const;

  // The jobs that are being repaired: job → its incident.
  const std::map<uint64_t, uint64_t>& open() const { return open_; }

 private:
  std::string CheckOver(const v1::Incident& incident) const;

  std::map<uint64_t, uint64_t> open_;
  std::map<uint64_t, uint64_t> failed_attempt_;  // by job: the newest that failed
  std::map<uint64_t, std::set<uint64_t>> hit_;   // by incident: jobs
  std::set<uint64_t> given_up_;                  // incidents a job was given up for
  std::set<uint64_t> closed_;                    // since the last Check
};

}  // namespace muster::sim
