#include "sim/journal_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace muster::sim {
namespace {

uint64_t SlotsPerRank(const v1::JobSpec& spec) {
  return std::max<uint64_t>(1, spec.resources().slots_per_rank());
}

uint64_t WorldSize(const v1::JobSpec& spec) {
  uint64_t size = 1;
  for (const v1::Axis& axis : spec.mesh()) size *= axis.size();
  return size;
}

int64_t GrowAfterMs(const v1::JobSpec& spec) {
  const v1::RecoverySpec& recovery = spec.recovery();
  if (!recovery.has_grow_after()) return 60'000;
  return recovery.grow_after().seconds() * 1000 + recovery.grow_after().nanos() / 1'000'000;
}

uint64_t FailuresMax(const v1::JobSpec& spec) {
  const uint32_t chosen = spec.recovery().attempts_without_progress();
  return chosen == 0 ? 3 : chosen;
}

// Empty, or why the job must not run with this mesh.
std::string WhyNotMesh(const v1::JobSpec& spec, const v1::AttemptStarted& started) {
  if (started.mesh().empty()) return "";
  if (started.mesh_size() != spec.mesh_size()) return "it has other axes";
  for (int i = 0; i < spec.mesh_size(); ++i) {
    const v1::Axis& asked = spec.mesh(i);
    const uint32_t size = started.mesh(i).size();
    if (size == asked.size()) continue;
    if (asked.min() == 0 || size < asked.min() || size > asked.size()) {
      return fmt::format("{} is {}, asked for is {}, at least {}", asked.name(), size, asked.size(),
                         asked.min());
    }
  }
  return "";
}

std::string QueueOf(const v1::JobSpec& spec) {
  return spec.schedule().queue().empty() ? "default" : spec.schedule().queue();
}

}  // namespace

std::vector<PlacedShare> SharesOf(const v1::AttemptStarted& started) {
  std::vector<PlacedShare> shares;
  for (const v1::NodeShare& share : started.shares()) {
    PlacedShare& out = shares.emplace_back();
    out.node = share.node();
    for (uint32_t i = 0; i < share.ranks(); ++i) out.ranks.push_back(share.first_rank() + i);
    out.slots.assign(share.slots().begin(), share.slots().end());
  }
  return shares;
}

const JournalView::JobFacts* JournalView::Job(uint64_t job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : &found->second;
}

const JournalView::AttemptFacts* JournalView::Attempt(uint64_t job, uint64_t attempt) const {
  const auto found = attempts_.find({job, attempt});
  return found == attempts_.end() ? nullptr : &found->second;
}

uint64_t JournalView::PermitOf(uint64_t job, uint64_t attempt, uint64_t step) const {
  const auto found = permits_.find({{job, attempt}, step});
  return found == permits_.end() ? 0 : found->second.first;
}

uint64_t JournalView::RequestOf(const std::string& request_id) const {
  const auto found = requests_.find(request_id);
  return found == requests_.end() ? 0 : found->second.first;
}

uint64_t JournalView::JobOfRequest(const std::string& request_id) const {
  const auto found = requests_.find(request_id);
  return found == requests_.end() ? 0 : found->second.second;
}

std::string JournalView::UseRequest(const std::string& request_id, uint64_t job) {
  if (request_id.empty()) return "";
  const auto [found, added] = requests_.try_emplace(request_id, count_, job);
  if (added || !case_->Checks("requests")) return "";
  return fmt::format("requests: request {} had its effect in record {} and again in record {}",
                     request_id, found->second.first, count_);
}

std::string JournalView::TakeSubmitted(const v1::JobSubmitted& submitted) {
  JobFacts& job = jobs_[submitted.job_id()];
  if (job.submitted != 0) {
    return fmt::format("records: job {} is submitted twice", submitted.job_id());
  }
  job.submitted = count_;
  job.spec = submitted.spec();
  job.user = submitted.user();
  job.array = submitted.array_id();
  job.held = submitted.spec().schedule().hold();
  ++unfinished_;
  // The jobs of an array share one request.
  if (job.array != 0 && job.array != submitted.job_id()) return "";
  return UseRequest(submitted.request_id(), submitted.job_id());
}

std::string JournalView::DomainOf(const std::string& node, v1::Domain domain) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || domain == v1::DOMAIN_NODE) return node;
  const v1::Location& location = found->second.location;
  std::string name = domain == v1::DOMAIN_RACK     ? location.rack()
                     : domain == v1::DOMAIN_POD    ? location.pod()
                     : domain == v1::DOMAIN_NVLINK ? location.nvlink()
                                                   : "everywhere";
  return name.empty() ? "of " + node : name;
}

std::string JournalView::CheckGang(const v1::JobSpec& spec, const AttemptFacts& attempt) const {
  std::set<uint64_t> ranks;
  for (const PlacedShare& share : attempt.shares) {
    if (share.slots.size() != share.ranks.size() * SlotsPerRank(spec)) {
      return fmt::format("records: {} ranks on {} have {} slots", share.ranks.size(), share.node,
                         share.slots.size());
    }
    ranks.insert(share.ranks.begin(), share.ranks.end());
  }
  uint64_t placed = 0;
  for (const PlacedShare& share : attempt.shares) placed += share.ranks.size();
  const uint64_t size = WorldSize(spec);
  if (ranks.size() != size || placed != size || *ranks.rbegin() != size - 1) {
    return fmt::format("records: a gang of {} ranks is placed with {}", size, placed);
  }
  return CheckBlocks(spec, attempt);
}

std::string JournalView::CheckBlocks(const v1::JobSpec& spec, const AttemptFacts& attempt) const {
  std::map<uint64_t, std::string> node_of;
  for (const PlacedShare& share : attempt.shares) {
    for (const uint32_t rank : share.ranks) node_of[rank] = share.node;
  }
  uint64_t block = WorldSize(spec);
  for (const v1::Axis& axis : spec.mesh()) {
    const uint64_t inside = block;
    block /= axis.size();
    if (axis.within() == v1::DOMAIN_UNSPECIFIED) continue;
    for (const auto& [rank, node] : node_of) {
      const std::string& first = node_of.at(rank - rank % inside);
      if (DomainOf(first, axis.within()) == DomainOf(node, axis.within())) continue;
      return fmt::format("records: rank {} on {} and rank {} on {} are not {} of {}", rank, node,
                         rank - rank % inside, first, v1::Domain_Name(axis.within()), axis.name());
    }
  }
  return "";
}

std::string JournalView::CheckLimits(uint64_t id, const JobFacts& job) const {
  uint64_t queue_slots = 0, user_slots = 0, in_array = 0;
  for (const uint64_t live : live_) {
    const JobFacts& other = jobs_.at(live);
    if (other.array != 0 && other.array == job.array) ++in_array;
    if (QueueOf(other.spec) != QueueOf(job.spec)) continue;
    queue_slots += other.slots;
    if (other.user == job.user) user_slots += other.slots;
  }
  const uint64_t at_once = job.spec.schedule().array().at_once();
  if (at_once > 0 && in_array > at_once) {
    return fmt::format("records: {} jobs of array {} hold slots, at_once is {}", in_array,
                       job.array, at_once);
  }
  const auto queue = queues_.find(QueueOf(job.spec));
  if (queue == queues_.end()) return "";
  const v1::QueueSpec& spec = queue->second;
  if (spec.paused()) return fmt::format("records: job {} starts in a paused queue", id);
  if (spec.has_limit() && queue_slots > spec.limit()) {
    return fmt::format("records: queue {} holds {} slots, its limit is {}", spec.name(),
                       queue_slots, spec.limit());
  }
  if (spec.has_user_limit() && user_slots > spec.user_limit()) {
    return fmt::format("records: user {} holds {} slots in queue {}, the limit is {}", job.user,
                       user_slots, spec.name(), spec.user_limit());
  }
  return "";
}

std::string JournalView::TakeStarted(const v1::AttemptStarted& started) {
  const uint64_t id = started.job_id();
  JobFacts& job = jobs_[id];
  AttemptFacts& attempt = attempts_[{id, started.attempt()}];
  if (job.submitted == 0 || job.ended != 0) {
    return fmt::format("ends: attempt {} of job {} starts after the job's end (or before it was)",
                       started.attempt(), id);
  }
  if (job.live_attempt != 0 || started.attempt() != job.attempts + 1) {
    return fmt::format("records: attempt {} of job {} starts; {} was the newest, {} lives",
                       started.attempt(), id, job.attempts, job.live_attempt);
  }
  if (job.cancelled) {
    return fmt::format("requests: job {} starts after it was cancelled", id);
  }
  if (job.held || job.suspended) {
    return fmt::format("records: job {} starts while it is held or suspended", id);
  }
  for (const v1::Dependency& after : job.spec.schedule().after()) {
    const auto other = jobs_.find(std::strtoull(after.job().c_str(), nullptr, 10));
    if (after.when() == v1::AFTER_EVENT_STARTED || other == jobs_.end()) continue;
    if (other->second.ended == 0) {
      return fmt::format("records: job {} starts before job {}, which it is to follow, has ended",
                         id, after.job());
    }
  }
  if (job.fruitless >= FailuresMax(job.spec)) {
    return fmt::format(
        "progress: attempt {} of job {} starts after {} failures in a row that "
        "brought nothing",
        started.attempt(), id, job.fruitless);
  }
  if (job.losses >= 10 * FailuresMax(job.spec)) {
    return fmt::format(
        "progress: attempt {} of job {} starts after {} losses of nodes in a row "
        "that brought nothing",
        started.attempt(), id, job.losses);
  }
  if (const std::string why = WhyNotMesh(job.spec, started); !why.empty()) {
    return fmt::format("records: attempt {} of job {}: {}", started.attempt(), id, why);
  }
  attempt.started = count_;
  attempt.shares = SharesOf(started);
  job.attempts = started.attempt();
  job.live_attempt = started.attempt();
  for (const PlacedShare& share : attempt.shares) {
    NodeFacts& node = nodes_[share.node];
    if (node.quarantine == v1::QUARANTINE_COOLING || node.quarantine == v1::QUARANTINE_TESTING) {
      return fmt::format("quarantine: attempt {} of job {} is placed on {}, which is in quarantine",
                         started.attempt(), id, share.node);
    }
    if (node.dead || node.admission != v1::NODE_ADMISSION_OPEN) {
      return fmt::format("records: attempt {} of job {} is placed on {}, which is {}",
                         started.attempt(), id, share.node,
                         node.dead ? "dead" : v1::NodeAdmission_Name(node.admission));
    }
    for (const auto& [slot, holder] : node.used) {
      if (!job.spec.resources().exclusive() && !jobs_[holder].spec.resources().exclusive()) break;
      return fmt::format("records: job {} shares {} with job {}, and one is exclusive", id,
                         share.node, holder);
    }
    for (const uint32_t slot : share.slots) {
      if (slot >= node.slots) {
        return fmt::format("slots: {} has no slot {}", share.node, slot);
      }
      const auto [found, added] = node.used.try_emplace(slot, id);
      if (!added) {
        return fmt::format("slots: slot {} of {} is given to job {} while job {} holds it", slot,
                           share.node, id, found->second);
      }
      ++job.slots;
    }
  }
  live_.insert(id);
  v1::JobSpec spec = job.spec;
  if (!started.mesh().empty()) *spec.mutable_mesh() = started.mesh();
  if (std::string wrong = CheckGang(spec, attempt); !wrong.empty()) return wrong;
  return CheckLimits(id, job);
}

std::string JournalView::TakeEnded(const v1::AttemptEnded& ended) {
  JobFacts& job = jobs_[ended.job_id()];
  AttemptFacts& attempt = attempts_[{ended.job_id(), ended.attempt()}];
  if (!attempt.live()) {
    return fmt::format("records: attempt {} of job {} ends, and did not live", ended.attempt(),
                       ended.job_id());
  }
  attempt.ended = count_;
  attempt.outcome = ended.outcome();
  const bool progress = ended.last_step() > job.best_step || attempt.new_commit;
  job.best_step = std::max(job.best_step, ended.last_step());
  if (progress) {
    job.fruitless = 0;
    job.losses = 0;
  } else if (ended.outcome() == v1::ATTEMPT_OUTCOME_RANK_FAILED) {
    ++job.fruitless;
  } else if (ended.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST) {
    ++job.losses;
  }
  job.live_attempt = 0;
  job.slots = 0;
  live_.erase(ended.job_id());
  for (const PlacedShare& share : attempt.shares) {
    for (const uint32_t slot : share.slots) nodes_[share.node].used.erase(slot);
  }
  return "";
}

std::string JournalView::TakePermit(const v1::CommitPermitted& permit) {
  const JobFacts& job = jobs_[permit.job_id()];
  const AttemptFacts& attempt = attempts_[{permit.job_id(), permit.attempt()}];
  if (job.live_attempt != permit.attempt() || job.ended != 0) {
    return fmt::format("commits: attempt {} of job {} gets a permit, attempt {} lives",
                       permit.attempt(), permit.job_id(), job.live_attempt);
  }
  const bool torn_down =
      attempt.stopping != 0 && (attempt.outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED ||
                                attempt.outcome == v1::ATTEMPT_OUTCOME_NODE_LOST);
  if (torn_down) {
    return fmt::format("commits: attempt {} of job {} gets a permit while it is torn down",
                       permit.attempt(), permit.job_id());
  }
  const auto [found, added] =
      permits_.try_emplace({{permit.job_id(), permit.attempt()}, permit.checkpoint().step()},
                           count_, permit.checkpoint().manifest_sha256());
  if (!added && found->second.second != permit.checkpoint().manifest_sha256()) {
    return fmt::format("commits: step {} of attempt {} of job {} is permitted for two manifests",
                       permit.checkpoint().step(), permit.attempt(), permit.job_id());
  }
  return "";
}

// The coordinator's own quarantines stay within their share of the nodes.
std::string JournalView::TakeQuarantine(const v1::NodeQuarantineSet& set, int64_t unix_ms) {
  NodeFacts& node = nodes_[set.node()];
  const auto kept = [](v1::Quarantine quarantine) {
    return quarantine == v1::QUARANTINE_COOLING || quarantine == v1::QUARANTINE_TESTING;
  };
  const bool enters = !kept(node.quarantine) && kept(set.quarantine());
  if (enters || set.by_person()) {
    const bool early_test = !enters && set.quarantine() == v1::QUARANTINE_TESTING;
    if (!early_test) node.by_person = set.by_person();
  }
  node.quarantine = set.quarantine();
  node.until_unix_ms = set.until_unix_ms();
  std::string wrong = UseRequest(set.request_id(), 0);
  if (!enters || node.by_person || !wrong.empty()) return wrong;
  uint64_t live = 0, out = 0;
  for (const auto& [name, other] : nodes_) {
    if (!other.dead || name == set.node()) ++live;
    const bool away = other.dead && other.until_unix_ms <= unix_ms;
    if (kept(other.quarantine) && !other.by_person && !away) ++out;
  }
  const double share = case_->quarantine_share * static_cast<double>(live);
  if (live > 1 && out <= std::max<uint64_t>(1, static_cast<uint64_t>(share))) return "";
  return fmt::format(
      "quarantine: {} of {} nodes are kept from work, which is above the share of {}", out, live,
      case_->quarantine_share);
}

std::string JournalView::TakeJobEnded(const v1::JobEnded& ended) {
  JobFacts& job = jobs_[ended.job_id()];
  if (job.ended != 0) {
    return fmt::format("ends: job {} ended {} and ends {} again", ended.job_id(),
                       v1::JobState_Name(job.end_state), v1::JobState_Name(ended.state()));
  }
  if (job.live_attempt != 0) {
    return fmt::format("ends: job {} ends while attempt {} lives", ended.job_id(),
                       job.live_attempt);
  }
  job.ended = count_;
  job.end_state = ended.state();
  --unfinished_;
  if (case_->Checks("canary") && ended.state() == v1::JOB_STATE_SUCCEEDED) {
    return fmt::format("canary: job {} succeeded, which this case forbids", ended.job_id());
  }
  return "";
}

void JournalView::TakeCommitted(const v1::CheckpointCommitted& committed) {
  JobFacts& job = jobs_[committed.job_id()];
  const uint64_t step = committed.checkpoint().step();
  job.good.insert({step, committed.checkpoint().attempt()});
  if (step <= job.best_commit) return;
  job.best_commit = step;
  attempts_[{committed.job_id(), committed.attempt()}].new_commit = true;
}

std::string JournalView::TakeMarkedBad(const v1::CheckpointMarkedBad& marked) {
  JobFacts& job = jobs_[marked.job_id()];
  job.good.erase({marked.step(), marked.attempt()});
  job.bad.insert({marked.step(), marked.attempt()});
  if (!job.good.empty() || marked.step() <= job.spec.checkpoint().every_steps()) return "";
  return fmt::format("progress: the last checkpoint of job {}, at step {}, is marked bad",
                     marked.job_id(), marked.step());
}

std::string JournalView::TakeStopping(const v1::AttemptStopping& stopping, int64_t time_ms) {
  AttemptFacts& attempt = attempts_[{stopping.job_id(), stopping.attempt()}];
  if (attempt.stopping == 0) attempt.stopping = count_;
  attempt.outcome = stopping.outcome();
  if (!stopping.grows()) return "";
  JobFacts& job = jobs_[stopping.job_id()];
  const int64_t since_ms = time_ms - job.grown_ms;
  const bool early = job.grown_ms != 0 && since_ms < GrowAfterMs(job.spec);
  job.grown_ms = time_ms;
  if (!early) return "";
  return fmt::format("progress: job {} is stopped to take more {} ms after the last time",
                     stopping.job_id(), since_ms);
}

std::string JournalView::Take(const v1::Record& record) {
  ++count_;
  switch (record.record_case()) {
    case v1::Record::kEpochStarted:
      if (record.epoch_started().epoch() <= epoch_) {
        return fmt::format("epochs: epoch {} follows epoch {}", record.epoch_started().epoch(),
                           epoch_);
      }
      epoch_ = record.epoch_started().epoch();
      return "";
    case v1::Record::kNodeJoined: {
      NodeFacts& node = nodes_[record.node_joined().node()];
      if (record.node_joined().incarnation() < node.incarnation) {
        return fmt::format("epochs: incarnation {} of {} follows {}",
                           record.node_joined().incarnation(), record.node_joined().node(),
                           node.incarnation);
      }
      node.dead = false;
      node.incarnation = record.node_joined().incarnation();
      node.slots = record.node_joined().slots();
      node.location = record.node_joined().location();
      return "";
    }
    case v1::Record::kNodeDied:
      nodes_[record.node_died().node()].dead = true;
      return "";
    case v1::Record::kNodeAdmissionSet:
      nodes_[record.node_admission_set().node()].admission =
          record.node_admission_set().admission();
      return UseRequest(record.node_admission_set().request_id(), 0);
    case v1::Record::kNodeQuarantineSet:
      return TakeQuarantine(record.node_quarantine_set(), record.time_unix_ms());
    case v1::Record::kJobSubmitted:
      return TakeSubmitted(record.job_submitted());
    case v1::Record::kJobCancelRequested:
      jobs_[record.job_cancel_requested().job_id()].cancelled = true;
      return UseRequest(record.job_cancel_requested().request_id(),
                        record.job_cancel_requested().job_id());
    case v1::Record::kAttemptStarted:
      return TakeStarted(record.attempt_started());
    case v1::Record::kAttemptStopping:
      return TakeStopping(record.attempt_stopping(), record.time_unix_ms());
    case v1::Record::kAttemptEnded:
      return TakeEnded(record.attempt_ended());
    case v1::Record::kJobEnded:
      return TakeJobEnded(record.job_ended());
    case v1::Record::kCommitPermitted:
      return TakePermit(record.commit_permitted());
    case v1::Record::kQueueSet:
      queues_[record.queue_set().queue().name()] = record.queue_set().queue();
      return UseRequest(record.queue_set().request_id(), 0);
    case v1::Record::kJobHeld:
      jobs_[record.job_held().job_id()].held = record.job_held().held();
      return UseRequest(record.job_held().request_id(), record.job_held().job_id());
    case v1::Record::kJobSuspended:
      jobs_[record.job_suspended().job_id()].suspended = record.job_suspended().suspended();
      return UseRequest(record.job_suspended().request_id(), record.job_suspended().job_id());
    case v1::Record::kJobRequeued:
      return UseRequest(record.job_requeued().request_id(), record.job_requeued().job_id());
    case v1::Record::kJobSaveAsked:
      return UseRequest(record.job_save_asked().request_id(), record.job_save_asked().job_id());
    case v1::Record::kJobScaled: {
      JobFacts& job = jobs_[record.job_scaled().job_id()];
      *job.spec.mutable_mesh() = record.job_scaled().mesh();
      return UseRequest(record.job_scaled().request_id(), record.job_scaled().job_id());
    }
    case v1::Record::kClusterCreated:
    case v1::Record::kAttemptMilestone:
    case v1::Record::kCheckpointCommitted:
      TakeCommitted(record.checkpoint_committed());
      return "";
    case v1::Record::kCheckpointForgotten:
      for (const v1::CheckpointRef& ref : record.checkpoint_forgotten().checkpoints()) {
        jobs_[record.checkpoint_forgotten().job_id()].good.erase({ref.step(), ref.attempt()});
      }
      return "";
    case v1::Record::kCheckpointMarkedBad:
      return TakeMarkedBad(record.checkpoint_marked_bad());
    case v1::Record::kSaveTroubleSet:
    case v1::Record::kIncidentAcknowledged:
    case v1::Record::kNodeTested:
      return "";
    case v1::Record::RECORD_NOT_SET:
      return "records: a record without content";
  }
  return "";
}

}  // namespace muster::sim
