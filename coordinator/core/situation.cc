#include "coordinator/core/situation.h"

#include <algorithm>

#include "common/hostlist.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/resize.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/quota.h"
#include "spec/checkpoints.h"

namespace muster::coordinator::core {
namespace {

constexpr uint32_t kFailuresDefault = 3;

bool Contains(const std::vector<NodeId>& nodes, const NodeId& node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// The failure row as it will be once the attempt has ended.
FailureRow RowAfter(const ClusterState& state, const Job& job, const Attempt& attempt,
                    const v1::AttemptStopping& stopping) {
  FailureRow row = job.failure_row;
  row.Add({.outcome = stopping.outcome(),
           .node = NodeId(stopping.cause().node()),
           .phase = stopping.cause().phase(),
           .first_step = std::max(attempt.facts.first_step(), attempt.progress.first_step()),
           .last_step = attempt.progress.step(),
           .text = stopping.cause().text(),
           .start_unix_ms = attempt.facts.start_unix_ms(),
           .unix_ms = absl::ToUnixMillis(state.now)},
          job.checkpoints);
  return row;
}

// An attempt whose slots count has finished a step, as far as was told.
bool MemoryMayHoldMore(const Job& job, const Attempt& attempt,
                       const v1::AttemptStopping& stopping) {
  if (!spec::KeepsCheckpoints(job.spec)) return false;
  if (FoundCorruption({stopping.evidence().begin(), stopping.evidence().end()})) return false;
  const bool earlier = job.slots_since > 0 && job.slots_since < attempt.facts.number();
  return earlier || attempt.facts.first_step_unix_ms() != 0 ||
         attempt.progress.step() > attempt.progress.first_step();
}

// The room there will be for the job once its attempt is gone, and the node (if any) quarantined.
scheduler::Inventory WithoutTheAttempt(const ClusterState& state, const Job& job,
                                       const NodeId* quarantined) {
  scheduler::Inventory inventory = state.inventory;
  for (const v1::NodeShare& share : job.attempts.back().facts.shares()) {
    inventory.Free(share, job.id, job.spec.resources().exclusive());
  }
  if (quarantined != nullptr) inventory.SetUsable(inventory.Find(*quarantined), false, "");
  return inventory;
}

void LookForRoom(const ClusterState& state, const Job& job, const std::vector<NodeId>& accused,
                 const NodeId* quarantined, Situation& situation) {
  const scheduler::Inventory inventory = WithoutTheAttempt(state, job, quarantined);
  scheduler::Gang gang{job.id, &job.spec, &job.shape, scheduler::IsPreemptible(job.spec),
                       &job.attempts.back().facts.shares()};
  situation.room_with_accused = scheduler::Place(gang, inventory, nullptr).has_value();
  gang.avoid = &accused;
  situation.room_for_all = scheduler::Place(gang, inventory, nullptr).has_value();
  for (const scheduler::ShorterShape& one : job.shorter) {
    if (situation.room_for_all || situation.room_with_accused) break;
    gang.shape = &one.shape;
    for (const std::vector<NodeId>* avoid :
         {&accused, static_cast<const std::vector<NodeId>*>(nullptr)}) {
      gang.avoid = avoid;
      if (situation.smaller_data != 0 || !scheduler::Place(gang, inventory, nullptr)) continue;
      situation.smaller_data = one.data;
    }
    if (situation.smaller_data != 0) break;
  }
  situation.spare_ready =
      std::any_of(job.spares.begin(), job.spares.end(), [&](const NodeId& name) {
        const scheduler::NodeIndex node = inventory.Find(name);
        return inventory.usable(node) && inventory.idle(node);
      });
}

// The losses of nodes in the row, and how many there had to be expected.
void CountLosses(const ClusterState& state, const Job& job, const FailureRow& row,
                 Situation& situation) {
  situation.losses = row.losses();
  if (row.losses() == 0) return;
  const auto nodes = static_cast<uint64_t>(job.attempts.back().facts.shares_size());
  situation.losses_expected =
      static_cast<double>(row.losses_took_ms()) / 1e3 / state.failure_rate.MtbfSeconds(nodes);
}

}  // namespace

bool IsGivenUp(const ClusterState& state, const Job& job) {
  if (job.attempts.empty()) return false;
  const v1::AttemptOutcome last = job.attempts.back().facts.outcome();
  if (last != v1::ATTEMPT_OUTCOME_RANK_FAILED && last != v1::ATTEMPT_OUTCOME_NODE_LOST)
    return false;
  Situation situation;
  situation.ranks_failed = last == v1::ATTEMPT_OUTCOME_RANK_FAILED;
  situation.failures = job.fruitless;
  situation.failures_max = FailuresMax(job.spec);
  CountLosses(state, job, job.failure_row, situation);
  return IsHopeless(situation);
}

uint32_t FailuresMax(const v1::JobSpec& spec) {
  const uint32_t chosen = spec.recovery().attempts_without_progress();
  return chosen > 0 ? chosen : kFailuresDefault;
}

Situation CheckpointSituation(const Job& job) {
  Situation situation;
  situation.save_every = job.spec.checkpoint().every_steps();
  const v1::CheckpointRef* newest = job.checkpoints.NewestCommitted();
  if (newest == nullptr) return situation;
  situation.has_checkpoint = true;
  situation.newest_step = newest->step();
  situation.failed_resumes = job.failure_row.FailedResumes(*newest);
  if (const v1::CheckpointRef* older = job.checkpoints.CommittedBefore(*newest)) {
    situation.has_older = true;
    situation.older_step = older->step();
  }
  return situation;
}

Situation SituationOf(const ClusterState& state, const Job& job,
                      const v1::AttemptStopping& stopping) {
  const Attempt& attempt = job.attempts.back();
  Situation situation = CheckpointSituation(job);
  situation.failures_max = FailuresMax(job.spec);
  situation.ranks_failed = stopping.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED;
  const NodeId named(stopping.cause().node());
  const bool quarantines = WillQuarantine(state, job, stopping);
  situation.can_reform = attempt.can_reform();
  situation.memory = MemoryMayHoldMore(job, attempt, stopping);
  situation.data_size = DataSizeOf(job.spec.mesh());
  if (!job.shorter.empty()) situation.data_min = job.shorter.back().data;
  const bool progress = attempt.progress.step() > job.best_step || attempt.new_checkpoint;
  std::vector<NodeId> accused;
  if (progress) {
    situation.failures = 0;
    situation.failed_resumes = 0;
  } else {
    const FailureRow row = RowAfter(state, job, attempt, stopping);
    situation.failures = job.fruitless + (situation.ranks_failed ? 1 : 0);
    CountLosses(state, job, row, situation);
    if (const v1::CheckpointRef* newest = job.checkpoints.NewestCommitted()) {
      situation.failed_resumes = row.FailedResumes(*newest);
    }
    accused = row.accused();
  }
  std::vector<std::string> lost, guilty;
  for (const v1::NodeShare& share : attempt.facts.shares()) {
    const scheduler::NodeIndex node = state.inventory.Find(NodeId(share.node()));
    if (!state.inventory.usable(node) || (quarantines && share.node() == named.value())) {
      lost.push_back(share.node());
    } else if (Contains(accused, NodeId(share.node()))) {
      guilty.push_back(share.node());
    }
  }
  situation.nodes_lost = static_cast<uint32_t>(lost.size());
  if (!lost.empty()) situation.lost = FormatHostlist(lost);
  if (!guilty.empty()) situation.accused = FormatHostlist(guilty);
  if (!lost.empty() || !guilty.empty()) {
    LookForRoom(state, job, accused, quarantines ? &named : nullptr, situation);
  }
  return situation;
}

}  // namespace muster::coordinator::core
