// The arrays, by their first job: how many of their jobs hold slots, and whose turn is next.
//
// The ids of an array's jobs follow one another. With `at_once`, the jobs that hold slots and the
// ones that may start never number more; those with the lowest ids go first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "coordinator/core/job_table.h"

namespace muster::coordinator::core {

struct Array {
  uint32_t count = 0;
  uint32_t at_once = 0;               // 0 = no limit
  std::set<JobId> active;             // with a live attempt
  std::set<JobId> ready;              // queued, with no hold of their own
  std::optional<JobId> first_barred;  // of those ready: this one and later ones wait for the limit
};

class ArrayTable {
 public:
  // After every change of a job; one of no array is ignored. `ready`: see above.
  void Sort(const Job& job, bool ready);
  // nullptr when the id is not that of an array's first job.
  const Array* Find(JobId id) const;
  // Must the job wait because enough of its array run?
  bool Barred(const Job& job) const;

 private:
  std::map<JobId, Array> arrays_;
};

}  // namespace muster::coordinator::core
