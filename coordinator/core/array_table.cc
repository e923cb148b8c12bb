#include "coordinator/core/array_table.h"

#include <iterator>

namespace muster::coordinator::core {
namespace {

void Move(std::set<JobId>& set, JobId id, bool in) {
  if (in)
    set.insert(id);
  else
    set.erase(id);
}

}  // namespace

void ArrayTable::Sort(const Job& job, bool ready) {
  if (job.array_id == JobId()) return;
  Array& array = arrays_[job.array_id];
  array.count = job.spec.schedule().array().count();
  array.at_once = job.spec.schedule().array().at_once();
  if (array.at_once == 0) return;
  Move(array.active, job.id, job.LiveAttempt() != nullptr);
  Move(array.ready, job.id, ready);
  array.first_barred.reset();
  const size_t room = array.at_once - std::min<size_t>(array.at_once, array.active.size());
  if (array.ready.size() <= room) return;
  array.first_barred = *std::next(array.ready.begin(), static_cast<std::ptrdiff_t>(room));
}

const Array* ArrayTable::Find(JobId id) const {
  const auto found = arrays_.find(id);
  return found == arrays_.end() ? nullptr : &found->second;
}

bool ArrayTable::Barred(const Job& job) const {
  const Array* array = job.array_id == JobId() ? nullptr : Find(job.array_id);
  return array != nullptr && array->first_barred && job.id >= *array->first_barred;
}

}  // namespace muster::coordinator::core
