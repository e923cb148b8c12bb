#include "sim/slot_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace muster::sim {
namespace {

constexpr uint64_t kAllEvery = 64;  // checks between two of the whole cluster

int64_t Ms(double seconds) { return std::llround(seconds * 1e3); }

bool IsFailure(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED || outcome == v1::ATTEMPT_OUTCOME_NODE_LOST;
}

bool KeepsSpares(v1::AttemptOutcome outcome) {
  return IsFailure(outcome) || outcome == v1::ATTEMPT_OUTCOME_DRAINED ||
         outcome == v1::ATTEMPT_OUTCOME_RESIZED;
}

// Wall milliseconds of the kind; slots with `slots`.
int64_t Of(const v1::Ledger& ledger, v1::LedgerKind kind) {
  return Ms(ledger.entries(kind - 1).wall_seconds());
}

}  // namespace

int64_t SlotBook::Node::Free() const {
  int64_t used = 0;
  for (const auto& [job, count] : held) used += count;
  return std::max<int64_t>(0, slots - used);
}

void SlotBook::PassTime(int64_t now_ms) {
  const int64_t passed = now_ms - now_ms_;
  now_ms_ = now_ms;
  if (passed <= 0) return;
  for (const uint64_t id : open_) {
    Job& job = jobs_[id];
    if (job.live) {
      job.attempt_ms += passed;
      if (job.failed_at_ms > 0) job.stopping_ms += passed;
      for (const auto& [name, slots] : job.shares) job.slot_ms += nodes_[name].held[id] * passed;
    }
    for (const std::string& name : job.spares) job.slot_ms += nodes_[name].Free() * passed;
  }
}

void SlotBook::FreeSpares(Job& job) {
  for (const std::string& name : job.spares) nodes_[name].spare_for = 0;
  job.spares.clear();
}

void SlotBook::Start(const v1::AttemptStarted& started) {
  const uint64_t id = started.job_id();
  Job& job = jobs_[id];
  if (!job.placed) job.begin_ms = now_ms_;
  job.placed = job.live = true;
  job.requeued = false;
  job.failed_at_ms = 0;
  job.shares.clear();
  FreeSpares(job);
  for (const v1::NodeShare& share : started.shares()) {
    Node& node = nodes_[share.node()];
    job.shares[share.node()] = share.slots_size();
    node.held[id] = job.exclusive ? std::max<int64_t>(node.slots, share.slots_size())
                                  : int64_t{share.slots_size()};
  }
  for (const std::string& name : started.spares()) {
    nodes_[name].spare_for = id;
    job.spares.insert(name);
  }
  open_.insert(id);
}

void SlotBook::End(const v1::AttemptEnded& ended) {
  Job& job = jobs_[ended.job_id()];
  job.live = false;
  job.measured_ms += Ms(ended.productive_seconds());
  for (const auto& [name, slots] : job.shares) nodes_[name].held.erase(ended.job_id());
  if (!KeepsSpares(ended.outcome()) || job.suspended || job.requeued) FreeSpares(job);
}

void SlotBook::Take(const v1::Record& record) {
  PassTime(record.time_unix_ms());
  switch (record.record_case()) {
    case v1::Record::kNodeJoined:
      nodes_[record.node_joined().node()].slots = record.node_joined().slots();
      return;
    case v1::Record::kJobSubmitted:
      jobs_[record.job_submitted().job_id()].exclusive =
          record.job_submitted().spec().resources().exclusive();
      return;
    case v1::Record::kAttemptStarted:
      return Start(record.attempt_started());
    case v1::Record::kAttemptStopping: {
      Job& job = jobs_[record.attempt_stopping().job_id()];
      if (!IsFailure(record.attempt_stopping().outcome())) return;
      if (job.failed_at_ms == 0) job.failed_at_ms = now_ms_;
      job.failed = true;
      return;
    }
    case v1::Record::kAttemptEnded:
      return End(record.attempt_ended());
    case v1::Record::kJobSuspended: {
      Job& job = jobs_[record.job_suspended().job_id()];
      job.suspended = record.job_suspended().suspended();
      if (job.suspended && !job.live) FreeSpares(job);
      return;
    }
    case v1::Record::kJobRequeued: {
      Job& job = jobs_[record.job_requeued().job_id()];
      job.requeued = true;
      if (!job.live) FreeSpares(job);
      return;
    }
    case v1::Record::kJobEnded: {
      Job& job = jobs_[record.job_ended().job_id()];
      job.end_ms = now_ms_;
      FreeSpares(job);
      open_.erase(record.job_ended().job_id());
      return;
    }
    default:
      return;  // says nothing of slots
  }
}

std::string SlotBook::CheckJob(const coordinator::core::Cluster& cluster, uint64_t id) const {
  const Job& job = jobs_.at(id);
  v1::GetLedgerRequest request;
  request.set_job_id(id);
  request.set_until_unix_ms(now_ms_);
  const auto response = cluster.GetLedger(request);
  if (!response.ok()) {
    return fmt::format("ledger: of job {}: {}", id, std::string(response.status().message()));
  }
  const v1::Ledger& ledger = response->ledger();
  int64_t wall = 0, slots = 0;
  for (const v1::LedgerEntry& entry : ledger.entries()) {
    if (entry.wall_seconds() < 0 || entry.slot_seconds() < 0) {
      return fmt::format("ledger: of job {}: less than nothing went into {}", id,
                         v1::LedgerKind_Name(entry.kind()));
    }
    wall += Ms(entry.wall_seconds());
    slots += Ms(entry.slot_seconds());
  }
  const int64_t end = job.end_ms > 0 ? job.end_ms : now_ms_;
  const int64_t passed = job.placed ? end - job.begin_ms : 0;
  if (wall != passed) {
    return fmt::format("ledger: the kinds of job {} sum to {} ms, its records to {} ms", id, wall,
                       passed);
  }
  if (slots != job.slot_ms) {
    return fmt::format("ledger: the kinds of job {} sum to {} slot-ms, its records to {}", id,
                       slots, job.slot_ms);
  }
  if (Of(ledger, v1::LEDGER_KIND_WAITING) != passed - job.attempt_ms) {
    return fmt::format("ledger: job {} waited {} ms; by its records {}", id,
                       Of(ledger, v1::LEDGER_KIND_WAITING), passed - job.attempt_ms);
  }
  const int64_t repairs = Of(ledger, v1::LEDGER_KIND_DETECT) + Of(ledger, v1::LEDGER_KIND_HANG) +
                          Of(ledger, v1::LEDGER_KIND_RESTART);
  if (repairs < job.stopping_ms || (!job.failed && repairs > 0)) {
    return fmt::format("ledger: job {} was detected and repaired for {} ms; its teardowns took {}",
                       id, repairs, job.stopping_ms);
  }
  const int64_t steps = Of(ledger, v1::LEDGER_KIND_PRODUCTIVE) +
                        Of(ledger, v1::LEDGER_KIND_STRAGGLER) +
                        Of(ledger, v1::LEDGER_KIND_RECOMPUTE);
  if (job.end_ms > 0 && steps > job.measured_ms + 1) {
    return fmt::format("ledger: {} ms of steps of job {}, measured were {}", steps, id,
                       job.measured_ms);
  }
  return "";
}

std::string SlotBook::CheckAll(const coordinator::core::Cluster& cluster) const {
  const auto all = cluster.GetLedger({});
  if (!all.ok()) return "ledger: of all: " + std::string(all.status().message());
  std::map<int, int64_t> sums;
  for (const auto& [id, job] : jobs_) {
    v1::GetLedgerRequest request;
    request.set_job_id(id);
    const auto one = cluster.GetLedger(request);
    if (!one.ok())
      return fmt::format("ledger: of job {}: {}", id, std::string(one.status().message()));
    for (const v1::LedgerEntry& entry : one->ledger().entries()) {
      sums[entry.kind()] += Ms(entry.slot_seconds());
    }
  }
  for (const v1::LedgerEntry& entry : all->ledger().entries()) {
    if (Ms(entry.slot_seconds()) == sums[entry.kind()]) continue;
    return fmt::format("ledger: {} of all jobs is {} slot-ms, of one after the other {}",
                       v1::LedgerKind_Name(entry.kind()), Ms(entry.slot_seconds()),
                       sums[entry.kind()]);
  }
  return "";
}

std::string SlotBook::Check(const coordinator::core::Cluster& cluster) {
  if (jobs_.empty()) return "";
  if (++checks_ % kAllEvery == 0) return CheckAll(cluster);
  auto job = jobs_.upper_bound(next_);
  if (job == jobs_.end()) job = jobs_.begin();
  next_ = job->first;
  return CheckJob(cluster, next_);
}

}  // namespace muster::sim
