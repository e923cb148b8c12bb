#include "coordinator/core/checkpoints.h"

#include <algorithm>
#include <tuple>

namespace muster::coordinator::core {
namespace {

bool Newer(const v1::CheckpointRef& a, const v1::CheckpointRef& b) {
  return std::tuple(a.step(), a.attempt()) > std::tuple(b.step(), b.attempt());
}

bool Same(const v1::CheckpointRef& a, const v1::CheckpointRef& b) {
  return a.step() == b.step() && a.attempt() == b.attempt();
}

}  // namespace

const v1::CheckpointRef* CheckpointLedger::Find(uint64_t step, uint64_t attempt) const {
  for (const v1::CheckpointRef& ref : refs_) {
    if (ref.step() == step && ref.attempt() == attempt) return &ref;
  }
  return nullptr;
}

void CheckpointLedger::Permit(const v1::CheckpointRef& ref) {
  const auto at = std::lower_bound(refs_.begin(), refs_.end(), ref, Newer);
  if (at != refs_.end() && Same(*at, ref)) return;
  refs_.insert(at, ref)->set_committed(false);
}

bool CheckpointLedger::Commit(const v1::CheckpointRef& ref) {
  const bool beyond = !any_ || ref.step() > best_step_;
  const auto at = std::lower_bound(refs_.begin(), refs_.end(), ref, Newer);
  const auto kept = at != refs_.end() && Same(*at, ref) ? at : refs_.insert(at, ref);
  *kept = ref;
  kept->set_committed(true);
  any_ = true;
  best_step_ = std::max(best_step_, ref.step());
  return beyond;
}

void CheckpointLedger::MarkBad(uint64_t step, uint64_t attempt) {
  for (v1::CheckpointRef& ref : refs_) {
    if (ref.step() == step && ref.attempt() == attempt) ref.set_bad(true);
  }
}

void CheckpointLedger::Forget(const v1::CheckpointRef& ref) {
  std::erase_if(refs_, [&](const v1::CheckpointRef& kept) { return Same(kept, ref); });
}

const v1::CheckpointRef* CheckpointLedger::NewestCommitted() const {
  for (const v1::CheckpointRef& ref : refs_) {
    if (ref.committed() && !ref.bad()) return &ref;
  }
  return nullptr;
}

const v1::CheckpointRef* CheckpointLedger::CommittedBefore(const v1::CheckpointRef& ref) const {
  for (const v1::CheckpointRef& other : refs_) {
    if (other.committed() && !other.bad() && Newer(ref, other)) return &other;
  }
  return nullptr;
}

}  // namespace muster::coordinator::core
