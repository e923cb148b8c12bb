#include "coordinator/core/failure_row.h"

#include <algorithm>

namespace muster::coordinator::core {
namespace {

void Insert(std::vector<NodeId>& nodes, const NodeId& node) {
  const auto at = std::lower_bound(nodes.begin(), nodes.end(), node);
  if (at == nodes.end() || *at != node) nodes.insert(at, node);
}

// A failure before anything was read says nothing about what would have been read.
bool BeganToLoad(v1::Phase phase) {
  switch (phase) {
    case v1::PHASE_LOAD:
    case v1::PHASE_STEP:
    case v1::PHASE_SAVE:
    case v1::PHASE_EVAL:
      return true;
    case v1::PHASE_INIT:
    case v1::PHASE_IDLE:
    case v1::PHASE_UNSPECIFIED:
    case v1::Phase_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Phase_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return false;
}

// What the attempt resumed from: what it said, else the newest it was offered.
const v1::CheckpointRef* ResumedFrom(const FailedAttempt& failed,
                                     const CheckpointLedger& checkpoints) {
  if (failed.first_step == 0) return checkpoints.NewestCommitted();
  for (const v1::CheckpointRef& ref : checkpoints.refs()) {
    if (ref.step() == failed.first_step && !ref.bad()) return &ref;
  }
  return nullptr;
}

}  // namespace

void FailureRow::Add(const FailedAttempt& failed, const CheckpointLedger& checkpoints) {
  if (failed.outcome == v1::ATTEMPT_OUTCOME_NODE_LOST) {
    if (losses_++ == 0) {
      first_loss_ = failed.text;
      losses_from_ms_ = failed.start_unix_ms;
    }
    losses_until_ms_ = std::max(losses_from_ms_, failed.unix_ms);
    if (!failed.node.value().empty()) Insert(lost_, failed.node);
    return;
  }
  if (failed.outcome != v1::ATTEMPT_OUTCOME_RANK_FAILED) return;
  if (!failed.node.value().empty()) {
    if (failed.node == last_) Insert(accused_, failed.node);
    Insert(nodes_, failed.node);
  }
  last_ = failed.node;
  if (!BeganToLoad(failed.phase)) return;
  const v1::CheckpointRef* ref = ResumedFrom(failed, checkpoints);
  if (ref == nullptr || failed.last_step > ref->step()) {
    resumes_ = 0;
  } else if (FailedResumes(*ref) > 0) {
    ++resumes_;
  } else {
    step_ = ref->step();
    attempt_ = ref->attempt();
    resumes_ = 1;
  }
}

}  // namespace muster::coordinator::core
