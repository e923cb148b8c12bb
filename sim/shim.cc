#include "sim/shim.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/node.h"
#include "sim/training.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

constexpr int kSigKill = 9;
constexpr int kSigTerm = 15;
constexpr int kSegv = 11;
constexpr int kStopped = 75;

}  // namespace

Shim::Shim(World* world, Node* node, const v1::StartRanks& start)
    : world_(world),
      node_(node),
      start_(start),
      key_{JobId(start.job_id()), AttemptNumber(start.attempt())} {
  for (uint32_t i = 0; i < start.share().ranks(); ++i) {
    ranks_.emplace_back().rank = start.share().first_rank() + i;
  }
  slots_.assign(start.share().slots().begin(), start.share().slots().end());
}

Shim::~Shim() {
  if (training_ != nullptr) training_->Leave(this);
}

void Shim::Spawn() {
  alive_ = true;
  training_ = Training::Of(world_, start_);
  training_->Join(this);
  for (Rank& rank : ranks_) rank.state = v1::RANK_STATE_SPAWNED;
  const auto hello = [this](size_t index) {
    world_->agenda.After(world_->dice.Between(50 * kMilli, 400 * kMilli),
                         [node = node_, key = key_, index] {
                           if (Shim* shim = node->FindShim(key)) shim->Hello(index);
                         });
  };
  for (size_t i = 0; i < ranks_.size(); ++i) hello(i);
  WorkerWent();  // the orphan grace runs until a worker comes
}

bool Shim::AllExited() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const Rank& rank) { return rank.state == v1::RANK_STATE_EXITED; });
}

bool Shim::HasRanks() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) {
    return rank.state == v1::RANK_STATE_SPAWNED || rank.state == v1::RANK_STATE_RUNNING;
  });
}

bool Shim::HasProcesses() const { return HasRanks() || (alive_ && !stopped_); }

void Shim::Hello(size_t index) {
  Rank& rank = ranks_[index];
  if (!alive_ || rank.state != v1::RANK_STATE_SPAWNED) return;
  if (training_->broken()) return Exit(index, 1, 0, false);
  rank.state = v1::RANK_STATE_RUNNING;
  rank.hello = true;
  Report();
  training_->Hello();
}

void Shim::Exit(size_t index, int code, int signal, bool by_us) {
  Rank& rank = ranks_[index];
  if (rank.state == v1::RANK_STATE_EXITED || rank.state == v1::RANK_STATE_UNSPECIFIED) return;
  rank.state = v1::RANK_STATE_EXITED;
  rank.exit_code = code;
  rank.signal = signal;
  rank.exit_unix_us = node_->UnixMicros();
  const bool as_asked = signal == 0 && (code == 0 || code == kStopped);
  rank.by_us = by_us || (signal == 0 && code == kStopped && stop_ordered_);
  world_->trace.Mark(300, rank.rank,
                     static_cast<uint64_t>(code) * 100 + static_cast<uint64_t>(signal));
  if (!as_asked) training_->RankGone();
  if (!alive_) return;
  if (!as_asked && !rank.by_us) failed_ = true;
  Report();
  if (failed_) Kill();
  MaybeStopped();
}

void Shim::MaybeStopped() {
  if (stopped_ || !AllExited() || !alive_) return;
  stopped_ = true;
  Report();
  if (ending_) {
    alive_ = false;
    world_->agenda.After(5 * kMilli, [node = node_, key = key_] { node->OnShimGone(key); });
  }
}

void Shim::Kill() {
  if (std::exchange(killed_, true)) return;
  world_->agenda.After(world_->dice.Between(1 * kMilli, 60 * kMilli), [node = node_, key = key_] {
    Shim* shim = node->FindShim(key);
    if (shim == nullptr || !shim->alive_) return;
    for (size_t i = 0; i < shim->ranks_.size(); ++i) shim->Exit(i, 0, kSigKill, true);
  });
}

void Shim::Stop(Micros grace) {
  const Micros at = world_->agenda.now() + grace;
  if (stop_ordered_ && at >= kill_at_) return;
  const bool first = !std::exchange(stop_ordered_, true);
  kill_at_ = at;
  if (grace <= 0) return Kill();
  world_->agenda.At(at, [node = node_, key = key_, at] {
    Shim* shim = node->FindShim(key);
    if (shim != nullptr && shim->alive_ && shim->kill_at_ == at) shim->Kill();
  });
  if (!first) return;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    if (ranks_[i].state != v1::RANK_STATE_SPAWNED) continue;
    world_->agenda.After(20 * kMilli, [node = node_, key = key_, i] {
      Shim* shim = node->FindShim(key);
      if (shim != nullptr && shim->alive_) shim->Exit(i, 0, kSigTerm, true);
    });
  }
  training_->StopAsked();
}

void Shim::EndSoon() {
  ending_ = true;
  if (stopped_) {
    alive_ = false;
    world_->agenda.After(5 * kMilli, [node = node_, key = key_] { node->OnShimGone(key); });
    return;
  }
  Stop(0);
}

void Shim::Die() {
  if (!alive_) return;
  alive_ = false;
  connected_ = false;
  training_->RankGone();  // cut off from their links, the ranks get nowhere
  world_->agenda.After(5 * kMilli, [node = node_, key = key_] { node->OnShimGone(key); });
}

void Shim::KillAll() {
  alive_ = false;
  connected_ = false;
  for (size_t i = 0; i < ranks_.size(); ++i) Exit(i, 0, kSigKill, true);
}

bool Shim::CrashRank(uint64_t which) {
  if (ranks_.empty() || !alive_ || stop_ordered_) return false;
  const size_t index = which % ranks_.size();
  if (ranks_[index].state == v1::RANK_STATE_EXITED) return false;
  Exit(index, which % 2 == 0 ? 0 : 1, which % 2 == 0 ? kSegv : 0, false);
  return true;
}

void Shim::RanksExit(int code) {
  world_->agenda.After(world_->dice.Between(1 * kMilli, 50 * kMilli),
                       [node = node_, key = key_, code] {
                         Shim* shim = node->FindShim(key);
                         if (shim == nullptr || !shim->alive_) return;
                         for (size_t i = 0; i < shim->ranks_.size(); ++i) {
                           shim->Exit(i, code, 0, false);
                         }
                       });
}

void Shim::WorkerCame() {
  if (!alive_) return;
  connected_ = true;
  ++orphan_;
  Report();
  for (const auto& [step, message] : requests_) ToWorker(message);
  for (const auto& [step, message] : done_) ToWorker(message);
  for (v1::ShimToWorker& message : std::exchange(pruned_, {})) ToWorker(std::move(message));
  ReportLater();
}

void Shim::WorkerWent() {
  connected_ = false;
  world_->agenda.After(world_->conf.orphan_grace, [node = node_, key = key_, count = ++orphan_] {
    Shim* shim = node->FindShim(key);
    if (shim != nullptr && shim->alive_ && shim->orphan_ == count) shim->EndSoon();
  });
}

void Shim::ReportLater() {
  world_->agenda.After(world_->conf.shim_report, [node = node_, key = key_, count = ++rhythm_] {
    Shim* shim = node->FindShim(key);
    if (shim == nullptr || !shim->alive_ || !shim->connected_ || shim->rhythm_ != count) return;
    shim->Report();
    shim->ReportLater();
  });
}

void Shim::FromWorker(const v1::WorkerToShim& message) {
  if (!alive_) return;
  switch (message.message_case()) {
    case v1::WorkerToShim::kStop:
      return Stop(Micros{message.stop().grace_ms()} * kMilli);
    case v1::WorkerToShim::kCommitReply:
      if (requests_.erase(message.commit_reply().step()) > 0) {
        training_->OnCommitReply(message.commit_reply().step(), message.commit_reply().permitted());
      }
      return;
    case v1::WorkerToShim::kCommitAck:
      done_.erase(message.commit_ack().step());
      return;
    case v1::WorkerToShim::kSave:  // told, and that is all: its trainings save by their cadence
      save_ = std::max(save_, message.save().save());
      return;
    case v1::WorkerToShim::kExit:
      return EndSoon();
    case v1::WorkerToShim::kExchangeResult:
    case v1::WorkerToShim::MESSAGE_NOT_SET:
      return;
  }
}

void Shim::RequestCommit(uint64_t step, const std::string& manifest) {
  if (!alive_) return;
  v1::ShimToWorker& message = requests_[step];
  v1::CommitRequest* request = message.mutable_commit_request();
  request->set_job_id(key_.job.value());
  request->set_attempt(key_.attempt.value());
  request->mutable_checkpoint()->set_step(step);
  request->mutable_checkpoint()->set_attempt(key_.attempt.value());
  request->mutable_checkpoint()->set_manifest_sha256(manifest);
  ToWorker(message);
}

void Shim::TellDone(uint64_t step, const std::string& manifest) {
  if (!alive_) return;
  v1::ShimToWorker& message = done_[step];
  v1::CommitDone* done = message.mutable_commit_done();
  done->set_job_id(key_.job.value());
  done->set_attempt(key_.attempt.value());
  done->mutable_checkpoint()->set_step(step);
  done->mutable_checkpoint()->set_attempt(key_.attempt.value());
  done->mutable_checkpoint()->set_manifest_sha256(manifest);
  done->mutable_checkpoint()->set_committed(true);
  ToWorker(message);
}

void Shim::TellPruned(const std::vector<std::pair<uint64_t, uint64_t>>& gone) {
  if (!alive_ || gone.empty()) return;
  v1::ShimToWorker message;
  message.mutable_pruned()->set_job_id(key_.job.value());
  message.mutable_pruned()->set_attempt(key_.attempt.value());
  for (const auto& [step, attempt] : gone) {
    v1::CheckpointRef* ref = message.mutable_pruned()->add_checkpoints();
    ref->set_step(step);
    ref->set_attempt(attempt);
  }
  if (connected_) return ToWorker(std::move(message));
  pruned_.push_back(std::move(message));
}

void Shim::ToWorker(v1::ShimToWorker message) {
  if (connected_) node_->OnShimMessage(key_, std::move(message));
}

v1::AttemptReport Shim::MakeReport() const {
  v1::AttemptReport report;
  report.set_job_id(key_.job.value());
  report.set_attempt(key_.attempt.value());
  report.set_report(reports_);
  report.set_save(save_);
  report.set_state(stopped_ ? v1::LOCAL_ATTEMPT_STATE_STOPPED : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  for (const Rank& rank : ranks_) {
    v1::RankReport* out = report.add_ranks();
    out->set_rank(rank.rank);
    out->set_state(rank.state);
    out->set_pid(1000 + rank.rank);
    out->set_exit_code(rank.exit_code);
    out->set_signal(rank.signal);
    out->set_stopped_by_us(rank.by_us);
    out->set_exit_unix_us(rank.exit_unix_us);
    if (rank.rank == 0 && rank.hello) training_->FillProgress(*out->mutable_progress());
  }
  return report;
}

void Shim::Report() {
  if (!alive_) return;
  ++reports_;
  v1::ShimToWorker message;
  *message.mutable_report() = MakeReport();
  node_->WriteReport(key_, message.report());
  ToWorker(std::move(message));
}

}  // namespace muster::sim
