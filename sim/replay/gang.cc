#include "sim/replay/gang.h"

#include <algorithm>

#include "common/check.h"
#include "sim/replay/replay.h"

namespace muster::sim::replay {
namespace {

namespace core = coordinator::core;

core::WorkerSaid Said(uint64_t session) { return {SessionId(session), {}}; }

}  // namespace

Gang::Gang(Replay* replay, const v1::StartRanks& start)
    : replay_(replay), job_(start.job_id()), attempt_(start.attempt()), nodes_(start.nodes()) {
  v1::GangOrder gang;
  CHECK(gang.ParseFromString(start.gang()), "the gang of attempt {}.{} does not parse", job_,
        attempt_);
  target_ = gang.spec().train().steps();
  save_every_ = gang.spec().checkpoint().every_steps();
  keep_ = gang.spec().checkpoint().keep();
  for (const v1::CheckpointRef& ref : gang.resume()) {  // newest first
    if (!ref.committed()) continue;
    resume_ = ref.step();
    break;
  }
  const auto full = static_cast<Micros>(replay->TimesOf(job_).nodes);
  step_span_ = replay->options().costs.step * full / static_cast<Micros>(nodes_);
  members_.reserve(nodes_);
}

void Gang::After(Micros delay, void (Gang::*act)()) {
  replay_->agenda().After(delay, [self = shared_from_this(), turn = turn_, act] {
    if (!self->over_ && turn == self->turn_) ((*self).*act)();
  });
}

void Gang::Start(uint32_t node, const v1::StartRanks& start) {
  if (state_ != State::kGathering) return;  // said again
  members_.push_back({node, start.share().first_rank(), start.share().ranks()});
  if (members_.size() < nodes_) return;
  const RecoveryCosts& costs = replay_->options().costs;
  const bool again = replay_->options().stock && attempt_ > 1;
  state_ = State::kStarting;
  After(costs.Tell(nodes_) + costs.start_spawn + costs.start_program +
            (again ? costs.stock_requeue : 0),
        &Gang::Up);
}

const Gang::Member* Gang::Root() const {
  for (const Member& member : members_) {
    if (member.first_rank == 0) return &member;
  }
  return nullptr;
}

void Gang::Up() {
  const auto self = shared_from_this();
  state_ = State::kLoading;
  replay_->TimesOf(job_).book.Enter(replay_->agenda().now(), resume_ > 0 || attempt_ > 1
                                                                 ? v1::LEDGER_KIND_CHECKPOINT_LOAD
                                                                 : v1::LEDGER_KIND_STARTUP);
  replay_->outages().Up(replay_->agenda().now(), job_);
  core::Input input = Said(0);
  auto& said = std::get<core::WorkerSaid>(input);
  v1::AttemptReport& report = *said.message.mutable_report();
  report.set_job_id(job_);
  report.set_attempt(attempt_);
  report.set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  for (const Member& member : members_) {
    if (over_ || state_ != State::kLoading) return;
    said.session = SessionId(replay_->SessionOf(member.node));
    report.set_report(1);
    while (report.ranks_size() < static_cast<int>(member.ranks)) {
      report.add_ranks()->set_state(v1::RANK_STATE_RUNNING);
    }
    while (report.ranks_size() > static_cast<int>(member.ranks)) {
      report.mutable_ranks()->RemoveLast();
    }
    for (int i = 0; i < report.ranks_size(); ++i) {
      report.mutable_ranks(i)->set_rank(member.first_rank + static_cast<uint32_t>(i));
    }
    replay_->Say(member.node, input);
  }
  loaded_in_ = resume_ > 0 ? replay_->options().costs.Read(nodes_) : 0;
  After(loaded_in_, &Gang::Loaded);
}

void Gang::Loaded() {
  const Micros now = replay_->agenda().now();
  state_ = State::kStepping;
  anchor_step_ = resume_;
  anchor_at_ = now;
  TimeBook& book = replay_->TimesOf(job_).book;
  const uint64_t best = book.best_step();
  book.EnterSteps(now, resume_, step_span_);
  replay_->outages().Stepping(now, job_, resume_, best);
  After(step_span_, &Gang::FirstStep);
  if (best <= resume_) replay_->outages().CaughtUp(now, job_);
  PlanNext();
}

void Gang::FirstStep() { TellProgress(); }

void Gang::CaughtUp() {
  TellProgress();
  replay_->outages().CaughtUp(replay_->agenda().now(), job_);
}

uint64_t Gang::StepNow() const {
  if (state_ != State::kStepping) return frozen_step_;
  const Micros ran = replay_->agenda().now() - anchor_at_;
  return std::min(target_, anchor_step_ + static_cast<uint64_t>(ran / step_span_));
}

// To the next save or the last step; on the way, where it had stood before.
void Gang::PlanNext() {
  uint64_t next = target_;
  if (save_every_ > 0) next = std::min(next, (anchor_step_ / save_every_ + 1) * save_every_);
  const uint64_t best = replay_->TimesOf(job_).book.best_step();
  if (replay_->outages().IsOpen(job_) && best > anchor_step_ && best <= next) {
    After(static_cast<Micros>(best - anchor_step_) * step_span_, &Gang::CaughtUp);
  }
  After(static_cast<Micros>(next - anchor_step_) * step_span_,
        next >= target_ ? &Gang::Finish : &Gang::SaveDue);
}

void Gang::SaveDue() {
  const RecoveryCosts& costs = replay_->options().costs;
  frozen_step_ = StepNow();
  if (saving_ != 0) {  // the one before is still being written
    anchor_step_ = frozen_step_;
    anchor_at_ = replay_->agenda().now();
    return PlanNext();
  }
  state_ = State::kSaving;
  saving_ = frozen_step_;
  replay_->TimesOf(job_).book.Enter(replay_->agenda().now(), v1::LEDGER_KIND_CHECKPOINT_STALL);
  const bool hidden = costs.hidden && !replay_->options().stock;
  const Micros stall = hidden ? costs.Copy() : costs.Write(nodes_);
  stalled_ += stall;
  After(stall, &Gang::StallOver);
  After(hidden ? stall + costs.Write(nodes_) : stall, &Gang::Written);
}

void Gang::StallOver() {
  state_ = State::kStepping;
  anchor_step_ = frozen_step_;
  anchor_at_ = replay_->agenda().now();
  replay_->TimesOf(job_).book.EnterSteps(anchor_at_, anchor_step_, step_span_);
  PlanNext();
}

v1::CheckpointRef Gang::Ref(uint64_t step) const {
  v1::CheckpointRef ref;
  ref.set_step(step);
  ref.set_attempt(attempt_);
  ref.set_manifest_sha256(std::string(32, static_cast<char>('a' + step % 26)));
  ref.set_bytes(static_cast<uint64_t>(replay_->options().costs.bytes_per_node) * nodes_);
  return ref;
}

void Gang::Written() {
  const Member* root = Root();
  if (saving_ == 0 || root == nullptr || !replay_->IsWell(root->node)) return;
  TellProgress();
  if (over_) return;
  core::WorkerSaid said = Said(replay_->SessionOf(root->node));
  v1::CommitRequest* request = said.message.mutable_commit_request();
  request->set_job_id(job_);
  request->set_attempt(attempt_);
  *request->mutable_checkpoint() = Ref(saving_);
  replay_->Say(root->node, said);
}

void Gang::OnCommitReply(uint64_t step, bool permitted) {
  if (step != saving_ || over_) return;
  if (permitted) return After(replay_->options().costs.commit, &Gang::Committed);
  saving_ = 0;
  if (leaving_ > 0) TellStopped();
}

void Gang::Committed() {
  const Member* root = Root();
  if (saving_ == 0 || root == nullptr || !replay_->IsWell(root->node)) return;
  const uint64_t step = std::exchange(saving_, 0);
  core::WorkerSaid said = Said(replay_->SessionOf(root->node));
  v1::CommitDone* done = said.message.mutable_commit_done();
  done->set_job_id(job_);
  done->set_attempt(attempt_);
  *done->mutable_checkpoint() = Ref(step);
  replay_->Say(root->node, said);
  replay_->Prune(job_, attempt_, root->node, done->checkpoint(), keep_);
  if (leaving_ > 0) TellStopped();
}

void Gang::Finish() {
  const auto self = shared_from_this();
  TellProgress();
  frozen_step_ = target_;
  state_ = State::kFinished;
  ++turn_;
  for (Member& member : members_) {
    if (over_) return;
    member.stopped = true;
    core::WorkerSaid said = Said(replay_->SessionOf(member.node));
    v1::AttemptReport* report = said.message.mutable_report();
    report->set_job_id(job_);
    report->set_attempt(attempt_);
    report->set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
    report->set_report(3);
    for (uint32_t i = 0; i < member.ranks; ++i) {
      v1::RankReport* rank = report->add_ranks();
      rank->set_rank(member.first_rank + i);
      rank->set_state(v1::RANK_STATE_EXITED);
    }
    replay_->Say(member.node, said);
  }
}

// An order to stop again may only shorten the grace.
void Gang::Stop(Micros grace) {
  if (state_ == State::kFinished) return;
  const RecoveryCosts& costs = replay_->options().costs;
  const bool saves = grace > 0 && state_ == State::kStepping && saving_ == 0;
  const Micros by = replay_->agenda().now() + costs.Tell(nodes_) +
                    (saves ? std::min(grace, costs.stop_graceful) : costs.stop_kill);
  if (stopping_ && by >= stop_by_) return;
  stopping_ = true;
  stop_by_ = by;
  if (saves) {
    leaving_ = 1;
    replay_->agenda().At(by, [self = shared_from_this(), by] {
      if (!self->over_ && self->stop_by_ == by) self->StopNow();
    });
    return;
  }
  leaving_ = 0;
  frozen_step_ = StepNow();
  if (state_ != State::kBroken) state_ = State::kBroken;
  ++turn_;
  saving_ = 0;
  replay_->agenda().At(by, [self = shared_from_this(), by] {
    if (!self->over_ && self->stop_by_ == by) self->TellStopped();
  });
}

// The grace is used: the step under way is saved, then all ranks end.
void Gang::StopNow() {
  frozen_step_ = StepNow();
  TellProgress();
  if (state_ == State::kBroken || saving_ != 0 || frozen_step_ <= resume_) return TellStopped();
  state_ = State::kBroken;
  ++turn_;
  saving_ = frozen_step_;
  Written();
}

void Gang::TellStopped() {
  const auto self = shared_from_this();
  frozen_step_ = StepNow();
  state_ = State::kBroken;
  ++turn_;
  core::Input input = Said(0);
  auto& said = std::get<core::WorkerSaid>(input);
  v1::AttemptReport* report = said.message.mutable_report();
  report->set_job_id(job_);
  report->set_attempt(attempt_);
  report->set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
  report->set_report(2);
  for (Member& member : members_) {
    if (over_) return;
    if (member.stopped) continue;
    member.stopped = true;
    said.session = SessionId(replay_->SessionOf(member.node));
    replay_->Say(member.node, input);
  }
}

void Gang::Hit(uint32_t /*node*/, FaultKind kind) {
  if (state_ == State::kFinished || over_) return;
  if (!stopping_ && state_ != State::kBroken) {
    TellProgress();
    replay_->TimesOf(job_).book.Enter(replay_->agenda().now(),
                                      kind == FaultKind::kHang || replay_->options().stock
                                          ? v1::LEDGER_KIND_HANG
                                          : v1::LEDGER_KIND_DETECT);
  }
  frozen_step_ = StepNow();
  state_ = State::kBroken;
  leaving_ = 0;
  saving_ = 0;
  ++turn_;
}

bool Gang::TellFailure(uint32_t node, const Fault& fault) {
  if (over_ || state_ == State::kFinished) return false;
  for (Member& member : members_) {
    if (member.node != node) continue;
    if (std::exchange(member.stopped, true)) return false;
    core::WorkerSaid said = Said(replay_->SessionOf(node));
    v1::AttemptReport* report = said.message.mutable_report();
    report->set_job_id(job_);
    report->set_attempt(attempt_);
    report->set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
    report->set_report(2);
    v1::RankReport* rank = report->add_ranks();
    rank->set_rank(member.first_rank);
    rank->set_state(v1::RANK_STATE_EXITED);
    rank->set_signal(fault.kind == FaultKind::kHang ? 6 : 9);
    rank->add_last_lines(fault.cause);
    // A rank that hung is ended when it is noticed; one that died had died before.
    const bool hung = fault.kind == FaultKind::kHang || replay_->options().stock;
    rank->set_exit_unix_us(replay_->UnixMicros() - (hung ? 0 : replay_->agenda().now() - fault.at));
    replay_->Say(node, said);
    return true;
  }
  return false;
}

// What rank 0's last heartbeat said.
void Gang::TellProgress() {
  const Member* root = Root();
  const bool loaded = anchor_at_ > 0;
  if (root == nullptr || root->stopped || !loaded || over_) return;
  core::WorkerSaid said = Said(replay_->SessionOf(root->node));
  v1::AttemptReport* report = said.message.mutable_report();
  report->set_job_id(job_);
  report->set_attempt(attempt_);
  report->set_state(v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  report->set_report(1);
  v1::RankReport* rank = report->add_ranks();
  rank->set_rank(0);
  rank->set_state(v1::RANK_STATE_RUNNING);
  v1::Progress* progress = rank->mutable_progress();
  const uint64_t step = StepNow();
  progress->set_phase(state_ == State::kSaving ? v1::PHASE_SAVE : v1::PHASE_STEP);
  progress->set_step(step);
  progress->set_first_step(resume_);
  progress->set_target_steps(target_);
  progress->set_updates(static_cast<uint64_t>(replay_->agenda().now()));
  progress->set_step_seconds(static_cast<double>(step_span_) / kSecond);
  progress->set_productive_seconds(static_cast<double>(step - resume_) *
                                   static_cast<double>(step_span_) / kSecond);
  progress->set_checkpoint_seconds(static_cast<double>(stalled_) / kSecond);
  progress->set_load_seconds(static_cast<double>(loaded_in_) / kSecond);
  replay_->Say(root->node, said);
}

}  // namespace muster::sim::replay
