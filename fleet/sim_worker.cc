#include "fleet/sim_worker.h"

#include <algorithm>
#include <variant>

namespace muster::fleet {
namespace {

using worker::core::AttemptKey;

constexpr int64_t kNever = int64_t{1} << 60;
constexpr int64_t kTalkEveryMs = 500;

}  // namespace

SimWorker::SimWorker(v1::WorkerHello identity, const Host* host, double jitter)
    : identity_(std::move(identity)),
      host_(host),
      jitter_(jitter),
      core_(identity_),
      link_({[this](v1::CoordinatorMessage message) {
               host_->post([this, message = std::move(message)] { OnMessage(message); });
             },
             [this](const absl::Status&) { host_->post([this] { OnClosed(); }); }}) {}

SimWorker::~SimWorker() { link_.Stop(); }

void SimWorker::Run(int64_t now_ms) {
  due_ms_ = kNever;
  if (silent_) return;
  if (!open_ && now_ms >= open_at_ms_) {
    const std::string address = host_->address();
    if (address.empty()) {
      open_at_ms_ = now_ms + delay_.NextMs(core_.reconnect_jitter_ms(), jitter_);
    } else {
      link_.Open(address);
      open_ = true;
      Feed(worker::core::StreamOpened{}, now_ms);
    }
  }
  if (now_ms >= talk_at_ms_) Talk(now_ms);
  if (now_ms >= core_.WakeAtMs()) Feed(worker::core::Tick{}, now_ms);
  while (!delayed_.empty() && delayed_.front().first <= now_ms) {
    link_.Send(std::move(delayed_.front().second));
    delayed_.pop_front();
  }
  due_ms_ = NextMs();
}

int64_t SimWorker::NextMs() const {
  int64_t next = std::min<int64_t>(core_.WakeAtMs(), kNever);
  if (!open_) next = std::min(next, open_at_ms_);
  if (!shims_.empty()) next = std::min(next, talk_at_ms_);
  if (!delayed_.empty()) next = std::min(next, delayed_.front().first);
  return next;
}

void SimWorker::Talk(int64_t now_ms) {
  talk_at_ms_ = now_ms + kTalkEveryMs;
  std::vector<AttemptKey> keys;
  for (const auto& [key, shim] : shims_) keys.push_back(key);
  for (const AttemptKey& key : keys) {
    const auto found = shims_.find(key);
    if (found == shims_.end()) continue;
    if (found->second.exiting()) {
      shims_.erase(found);
      Feed(worker::core::ShimGone{key}, now_ms);
      continue;
    }
    for (v1::ShimToWorker& message : found->second.Say(now_ms)) {
      if (message.has_commit_done()) ++host_->counts->commits;
      Feed(worker::core::FromShim{key, std::move(message)}, now_ms);
    }
  }
}

void SimWorker::KillRank(uint64_t job, uint32_t rank, int64_t now_ms) {
  for (auto& [key, shim] : shims_) {
    if (key.job.value() == job && shim.Holds(rank)) shim.KillRank(rank, now_ms);
  }
  talk_at_ms_ = due_ms_ = now_ms;
}

void SimWorker::FallSilent() {
  silent_ = true;
  due_ms_ = kNever;
}

void SimWorker::HangRank(uint64_t job, uint32_t rank, int64_t now_ms) {
  for (auto& [key, shim] : shims_) {
    if (key.job.value() == job && shim.Holds(rank)) shim.HangRank(now_ms);
  }
}

void SimWorker::Crash(int64_t now_ms) {
  shims_.clear();
  delayed_.clear();
  identity_.set_incarnation(identity_.incarnation() + 1);
  core_ = worker::core::WorkerCore(identity_);
  link_.Drop();
  open_at_ms_ = due_ms_ = now_ms;
}

void SimWorker::OnMessage(v1::CoordinatorMessage message) {
  ++host_->counts->received;
  if (silent_) return;
  const int64_t now_ms = due_ms_ = host_->now_ms;
  identity_.set_highest_epoch(std::max(identity_.highest_epoch(), message.epoch()));
  if (message.has_welcome()) {
    identity_.set_cluster_id(message.welcome().cluster_id());
    delay_.Reset();
  }
  Feed(worker::core::FromCoordinator{std::move(message)}, now_ms);
  if (talk_at_ms_ <= now_ms) Talk(now_ms);
}

void SimWorker::OnClosed() {
  ++host_->counts->closed;
  open_ = false;
  if (silent_) return;
  const int64_t now_ms = due_ms_ = host_->now_ms;
  open_at_ms_ = now_ms + delay_.NextMs(core_.reconnect_jitter_ms(), jitter_);
  Feed(worker::core::StreamClosed{}, now_ms);
}

void SimWorker::Feed(const worker::core::Input& input, int64_t now_ms) {
  for (worker::core::Action& action : core_.Step(input, now_ms)) Do(action, now_ms);
}

void SimWorker::Send(v1::WorkerMessage message, int64_t now_ms) {
  ++host_->counts->sent;
  if (slow_ms_ > 0) {
    delayed_.emplace_back(now_ms + slow_ms_, std::move(message));
  } else {
    link_.Send(std::move(message));
  }
}

void SimWorker::Do(worker::core::Action& action, int64_t now_ms) {
  namespace wc = worker::core;
  if (auto* send = std::get_if<wc::SendToCoordinator>(&action)) {
    Send(std::move(send->message), now_ms);
  } else if (const auto* spawn = std::get_if<wc::SpawnShim>(&action)) {
    ++host_->counts->started;
    shims_.try_emplace(spawn->key, spawn->start, *host_->script, now_ms);
    host_->acknowledged(spawn->key, node());
    Feed(wc::ShimConnected{spawn->key}, now_ms);
    talk_at_ms_ = now_ms;
  } else if (const auto* told = std::get_if<wc::SendToShim>(&action)) {
    const auto shim = shims_.find(told->key);
    if (shim == shims_.end()) return;
    shim->second.Take(told->message, now_ms);
    talk_at_ms_ = now_ms;
  } else if (const auto* clean = std::get_if<wc::CleanUp>(&action)) {
    shims_.erase(clean->key);
    Feed(wc::CleanedUp{clean->key, {}}, now_ms);
  } else if (const auto* gone = std::get_if<wc::RemoveFolder>(&action)) {
    shims_.erase(gone->key);
  } else if (const auto* test = std::get_if<wc::StartTest>(&action)) {
    Feed(wc::TestDone{test->test, true, "simulated"}, now_ms);
  } else if (std::holds_alternative<wc::DropStream>(action)) {
    link_.Drop();
  } else if (std::holds_alternative<wc::EndWorker>(action)) {
    FallSilent();
  }
}

}  // namespace muster::fleet
