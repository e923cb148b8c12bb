#include "sim/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/check.h"
#include "sim/coordinator_process.h"
#include "sim/journal_view.h"
#include "sim/node.h"
#include "sim/shim.h"
#include "sim/storage.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

constexpr int kStopped = 75;

v1::GangOrder GangOf(const v1::StartRanks& start) {
  v1::GangOrder gang;
  CHECK(gang.ParseFromString(start.gang()), "the gang of attempt {}.{} does not parse",
        start.job_id(), start.attempt());
  return gang;
}

uint64_t HashOf(const v1::StartRanks& start) {
  uint64_t hash = start.attempt() * 1'000'003 + start.world_size();
  const v1::GangOrder gang = GangOf(start);
  for (const v1::NodeRun& run : gang.nodes()) {
    for (const char byte : run.SerializeAsString()) {
      hash = hash * 31 + static_cast<unsigned char>(byte);
    }
  }
  return hash;
}

// "bug 7", "bug " → 7
uint64_t StepAfter(const std::string& path, const std::string& word) {
  return path.rfind(word, 0) == 0 ? std::stoull(path.substr(word.size())) : 0;
}

}  // namespace

// Two coordinators may both think of an attempt of that number: told apart by where it lies.
Training* Training::Of(World* world, const v1::StartRanks& start) {
  auto& slot = world->trainings[{start.job_id(), HashOf(start)}];
  if (slot != nullptr && slot->state_ == State::kOver)
    world->trainings_over.push_back(std::move(slot));
  if (slot == nullptr) slot = std::make_unique<Training>(world, start);
  return slot.get();
}

Training::Training(World* world, const v1::StartRanks& start)
    : Training(world, start, GangOf(start)) {}

Training::Training(World* world, const v1::StartRanks& start, const v1::GangOrder& gang)
    : world_(world),
      job_(start.job_id()),
      uid_(start.job_uid()),
      attempt_(start.attempt()),
      ranks_(start.world_size()),
      target_(gang.spec().train().steps()),
      save_every_(gang.spec().checkpoint().every_steps()),
      keep_(gang.spec().checkpoint().keep()),
      step_span_(std::max<Micros>(1, static_cast<Micros>(gang.spec().train().seed()))),
      broken_(gang.spec().train().data().path() == "broken"),
      bug_(StepAfter(gang.spec().train().data().path(), "bug ")),
      panic_(StepAfter(gang.spec().train().data().path(), "panic ")),
      nonce_(world->dice.Next()),
      resume_(gang.resume().begin(), gang.resume().end()) {
  CheckOrder(gang);
}

// What the nodes are told is what was recorded.
void Training::CheckOrder(const v1::GangOrder& gang) const {
  uint64_t size = 1;
  for (const v1::Axis& axis : gang.spec().mesh()) size *= axis.size();
  if (size != ranks_) {
    world_->Fail(fmt::format("records: attempt {}.{} is ordered with {} ranks and a mesh of {}",
                             job_, attempt_, ranks_, size));
  }
  if (world_->forked()) return;  // two stories
  const JournalView::JobFacts* job = world_->leader()->disk().view.Job(job_);
  for (const v1::CheckpointRef& ref : resume_) {
    if (job == nullptr || job->bad.count({ref.step(), ref.attempt()}) == 0) continue;
    world_->Fail(fmt::format("progress: attempt {}.{} is offered step {}, which is marked bad",
                             job_, attempt_, ref.step()));
  }
}

// The same answer every time.
bool Training::Unreadable(const v1::CheckpointRef& ref) const {
  if (world_->conf.bad_saves <= 0) return false;
  uint64_t hash = job_ * 0x9e3779b97f4a7c15u + ref.step() * 1'000'003 + ref.attempt() * 7919;
  hash ^= hash >> 29;
  hash *= 0xbf58476d1ce4e5b9u;
  hash ^= hash >> 32;
  return static_cast<double>(hash % 1000) < world_->conf.bad_saves * 1000;
}

void Training::Join(Shim* shim) { shims_.push_back(shim); }

void Training::Leave(Shim* shim) {
  std::erase(shims_, shim);
  if (state_ != State::kOver) RankGone();
  if (shims_.empty()) state_ = State::kOver;
}

void Training::Hello() {
  if (++hellos_ < ranks_ || state_ != State::kGathering) return;
  state_ = State::kLoading;
  loads_ = true;
  world_->agenda.After(world_->dice.Between(20 * kMilli, 200 * kMilli), [this, turn = ++turn_] {
    if (turn == turn_) Load();
  });
}

void Training::Load() {
  for (const v1::CheckpointRef& ref : resume_) {
    if (!world_->storage->IsCommitted(uid_, ref)) continue;
    if (Unreadable(ref)) return End(1);
    base_ = ref.step();
    break;
  }
  world_->trace.Mark(400, job_, base_);
  if (world_->trace.on()) {
    world_->trace.Say("ranks",
                      fmt::format("attempt {}.{} begins at step {}", job_, attempt_, base_));
  }
  state_ = State::kStepping;
  base_at_ = world_->agenda.now();
  if (stop_asked_) return End(kStopped);
  PlanNext();
}

uint64_t Training::StepNow() const {
  switch (state_) {
    case State::kGathering:
    case State::kLoading:
      return 0;
    case State::kStepping: {
      const Micros ran = world_->agenda.now() - base_at_;
      return std::min(target_, base_ + static_cast<uint64_t>(ran / step_span_));
    }
    case State::kEnding:
    case State::kHung:
    case State::kOver:
      break;
  }
  return frozen_step_;
}

void Training::PlanNext() {
  const uint64_t step = StepNow();
  uint64_t next = target_;
  if (save_every_ > 0) next = std::min(next, (step / save_every_ + 1) * save_every_);
  if (stop_asked_) next = std::min(next, step + 1);
  if (bug_ > 0) next = std::min(next, bug_);
  if (panic_ > 0) next = std::min(next, panic_);
  const Micros at = base_at_ + static_cast<Micros>(next - base_) * step_span_;
  world_->agenda.At(at, [this, turn = ++turn_, next] {
    if (turn == turn_ && state_ == State::kStepping) Reach(next);
  });
}

void Training::Reach(uint64_t step) {
  if (step == bug_) {
    frozen_step_ = step - 1;
    state_ = State::kEnding;
    return End(1);
  }
  if (step == panic_) return Panic();
  const bool last = step >= target_ || stop_asked_;
  if (!last) {
    Save(step);
    return PlanNext();
  }
  frozen_step_ = step;
  state_ = State::kEnding;
  end_code_ = step >= target_ ? 0 : kStopped;
  if (save_every_ == 0) return End(end_code_);
  reached_end_ = true;
  if (saving_ == 0) Save(step);  // else it follows the one under way
}

void Training::Panic() {
  frozen_step_ = panic_ - 1;
  state_ = State::kHung;
  ++turn_;
  const Shim* root = Root();
  if (root == nullptr) return;
  Node* node = &root->node();
  world_->CountFault("program.panic");
  world_->agenda.After(kMilli, [node] { node->PowerOff(); });
  world_->agenda.After(2 * world_->conf.dead_after, [node] { node->PowerOn(); });
}

Shim* Training::Root() const {
  const auto found = std::find_if(shims_.begin(), shims_.end(),
                                  [](const Shim* shim) { return shim->HoldsRankZero(); });
  return found == shims_.end() ? nullptr : *found;
}

std::string Training::ManifestOf(uint64_t step) const {
  return fmt::format("{}.{}.{:x}.{}", job_, attempt_, nonce_, step);
}

void Training::Save(uint64_t step) {
  if (saving_ != 0 || step == 0) {
    if (reached_end_ && step == 0) End(end_code_);
    return;
  }
  if (world_->dice.Chance(world_->conf.save_fails)) {
    if (reached_end_) End(end_code_);
    return;
  }
  saving_ = step;
  if (Shim* root = Root()) root->RequestCommit(step, ManifestOf(step));
}

void Training::OnCommitReply(uint64_t step, bool permitted) {
  if (step != saving_ || state_ == State::kOver) return;
  if (permitted && state_ != State::kHung) {
    world_->agenda.After(world_->dice.Between(5 * kMilli, 80 * kMilli), [this, step] {
      if (state_ != State::kOver && state_ != State::kHung) Written(step);
    });
    return;
  }
  saving_ = 0;
  if (reached_end_) End(end_code_);
}

void Training::Written(uint64_t step) {
  saving_ = 0;
  Shim* root = Root();
  if (root == nullptr) return;
  const std::string manifest = ManifestOf(step);
  world_->trace.Mark(401, job_, step);
  if (world_->trace.on()) {
    world_->trace.Say("storage",
                      fmt::format("COMMIT of step {} by attempt {}.{}", step, job_, attempt_));
  }
  if (world_->storage->Commit(uid_, {step, attempt_}, manifest)) {
    root->TellDone(step, manifest);
    root->TellPruned(world_->storage->Prune(uid_, keep_));
    if (world_->storage->Lost(uid_)) {
      world_->Fail(fmt::format("commits: job {} has no committed checkpoint left", job_));
    }
  } else if (!world_->forked()) {
    world_->Fail(
        fmt::format("commits: step {} of attempt {}.{} is committed twice", step, job_, attempt_));
  }
  if (!reached_end_) return;
  if (step >= frozen_step_) return End(end_code_);
  Save(frozen_step_);
}

void Training::StopAsked() {
  if (std::exchange(stop_asked_, true)) return;
  if (state_ == State::kStepping) PlanNext();
}

void Training::RankGone() {
  if (state_ == State::kHung || state_ == State::kOver) return;
  frozen_step_ = StepNow();
  state_ = State::kHung;
  ++turn_;
}

void Training::End(int code) {
  frozen_step_ = StepNow();
  state_ = State::kOver;
  ++turn_;
  for (Shim* shim : shims_) shim->RanksExit(code);
}

void Training::FillProgress(v1::Progress& progress) const {
  const uint64_t step = StepNow();
  const bool loaded = state_ != State::kGathering && state_ != State::kLoading && base_at_ > 0;
  progress.set_phase(loaded ? v1::PHASE_STEP : loads_ ? v1::PHASE_LOAD : v1::PHASE_INIT);
  progress.set_target_steps(target_);
  progress.set_updates(loaded ? 2 + step - base_ : 1);
  if (!loaded) return;
  progress.set_step(step);
  progress.set_first_step(base_);
  progress.set_productive_seconds(static_cast<double>(step - base_) *
                                  static_cast<double>(step_span_) / kSecond);
  progress.set_straggler_seconds(progress.productive_seconds() / 16);
}

}  // namespace muster::sim
