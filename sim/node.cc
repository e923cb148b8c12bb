#include "sim/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "sim/coordinator_process.h"
#include "sim/network.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

namespace core = worker::core;

constexpr Micros kSettle = 3 * kSecond;  // as the daemon: say hello though a shim is silent
constexpr uint32_t kDoublingsMax = 5;

}  // namespace

Node::Node(World* world, size_t index)
    : world_(world), index_(index), name_(fmt::format("n{}", index + 1)) {
  drift_ = world->conf.drift * (2 * world->dice.Unit() - 1);
  clock_offset_us_ = world->dice.Between(-2 * kSecond, 2 * kSecond);
}

int64_t Node::NowMs() const {
  const double now = static_cast<double>(world_->agenda.now()) * (1 + drift_);
  return 1'000'000 + static_cast<int64_t>(now) / kMilli;
}

int64_t Node::UnixMicros() const {
  return 1'700'000'000 * kSecond + world_->agenda.now() + clock_offset_us_;
}

std::optional<Micros> Node::InTouchSince() const {
  if (core_ == nullptr || paused_ || !core_->IsWelcomed() || world_->network->CutOff(index_)) {
    return std::nullopt;
  }
  return in_touch_since_;
}

void Node::PowerOn() {
  powered_ = true;
  StartWorker();
}

void Node::PowerOff() {
  if (!powered_) return;
  powered_ = false;
  world_->trace.Mark(200, index_);
  if (world_->trace.on()) world_->trace.Say(name_, "loses power");
  core_.reset();
  ++life_;
  inputs_.clear();
  paused_ = false;
  stream_ = 0;
  for (auto& [key, shim] : shims_) shim->KillAll();
  shims_.clear();
  world_->network->WorkerGone(index_, true);
}

void Node::StartWorker() {
  if (core_ != nullptr || !powered_) return;
  ++life_;
  v1::WorkerHello identity;
  identity.set_cluster_id(cluster_id_);
  identity.set_node(name_);
  identity.set_incarnation(++incarnation_);
  identity.set_slots(static_cast<uint32_t>(world_->conf.slots));
  for (uint32_t slot = 0; slot < identity.slots(); ++slot) {
    identity.add_devices()->set_slot(slot);
    identity.mutable_devices(static_cast<int>(slot))->set_kind("sim");
  }
  identity.set_peer_address(name_ + ":1");
  identity.set_highest_epoch(epoch_);
  identity.set_epoch_nonce(epoch_nonce_);
  const Case& conf = world_->conf;
  const auto part = [&](int64_t parts) {
    return static_cast<int64_t>(index_) * parts / conf.nodes + 1;
  };
  if (conf.racks > 0) identity.mutable_location()->set_rack(fmt::format("r{}", part(conf.racks)));
  if (conf.pods > 0) identity.mutable_location()->set_pod(fmt::format("p{}", part(conf.pods)));
  world_->trace.Mark(201, index_, incarnation_);
  if (world_->trace.on()) {
    world_->trace.Say(name_, fmt::format("worker starts, life {}", incarnation_));
  }
  core_ = std::make_unique<core::WorkerCore>(std::move(identity));
  paused_ = false;
  inputs_.clear();
  stream_ = 0;
  failures_ = 0;
  wake_at_ = -1;
  in_touch_since_ = -1;
  settle_by_ = world_->agenda.now() + kSettle;
  open_at_ = std::numeric_limits<Micros>::max();  // all folders are told of first
  const uint64_t life = life_;
  for (const auto& found : std::map(folders_)) {
    const core::AttemptKey key = found.first;
    Feed(core::AttemptFound{key, found.second.start, found.second.last});
    if (life != life_) return;
    world_->agenda.After(world_->dice.Between(1 * kMilli, 50 * kMilli), [this, key, life] {
      if (life != life_) return;
      Shim* shim = FindShim(key);
      if (shim == nullptr || !shim->alive()) return Feed(core::ShimGone{key});
      shim->WorkerCame();
      Feed(core::ShimConnected{key});
    });
  }
  open_at_ = world_->agenda.now();
  MaybeOpen();
  world_->agenda.At(settle_by_, [this, life] {
    if (life == life_) MaybeOpen();
  });
}

void Node::CrashWorker() {
  if (core_ == nullptr) return;
  world_->trace.Mark(202, index_);
  if (world_->trace.on()) world_->trace.Say(name_, "worker dies");
  core_.reset();
  ++life_;
  inputs_.clear();
  paused_ = false;
  stream_ = 0;
  for (auto& [key, shim] : shims_) {
    if (shim->connected()) shim->WorkerWent();
  }
  world_->network->WorkerGone(index_, false);
}

void Node::PauseWorker(Micros span) {
  if (core_ == nullptr || paused_) return;
  paused_ = true;
  world_->trace.Mark(203, index_);
  if (world_->trace.on()) world_->trace.Say(name_, "worker stands still");
  world_->agenda.After(span, [this, life = life_] {
    if (life != life_) return;
    paused_ = false;
    if (world_->trace.on()) world_->trace.Say(name_, "worker wakes");
    in_touch_since_ = world_->agenda.now();
    StepAll();
    if (life != life_) return;
    wake_at_ = -1;
    WantWake();
    MaybeOpen();
  });
}

bool Node::DiesInStep() {
  if (!world_->faults_on || !world_->dice.Chance(world_->conf.worker_crash_in_step)) return false;
  world_->CountFault("worker.crash_in_step");
  CrashWorker();
  world_->agenda.After(world_->dice.Exponential(world_->conf.down), [this] { StartWorker(); });
  return true;
}

Shim* Node::FindShim(const Key& key) {
  const auto found = shims_.find(key);
  return found == shims_.end() ? nullptr : found->second.get();
}

bool Node::CrashShim(uint64_t which) {
  if (shims_.empty()) return false;
  const auto at = std::next(shims_.begin(), static_cast<int64_t>(which % shims_.size()));
  if (!at->second->alive()) return false;
  world_->trace.Mark(204, index_);
  if (world_->trace.on())
    world_->trace.Say(name_, "shim " + core::AttemptName(at->first) + " dies");
  at->second->Die();
  return true;
}

bool Node::CrashRank(uint64_t which) {
  if (shims_.empty()) return false;
  const auto at = std::next(shims_.begin(), static_cast<int64_t>(which % shims_.size()));
  if (world_->trace.on()) {
    world_->trace.Say(name_, "a rank of " + core::AttemptName(at->first) + " crashes");
  }
  return at->second->CrashRank(which / 7);
}

void Node::Feed(core::Input input) {
  if (core_ == nullptr) return;
  inputs_.push_back(std::move(input));
  StepAll();
}

void Node::StepAll() {
  if (stepping_ || paused_) return;
  stepping_ = true;
  const uint64_t life = life_;
  while (!inputs_.empty() && !world_->failed()) {
    const core::Input input = std::move(inputs_.front());
    inputs_.pop_front();
    world_->trace.Mark(210 + input.index(), index_);
    for (core::Action& action : core_->Step(input, NowMs())) {
      if (DiesInStep()) break;
      std::visit([this](auto& one) { Do(one); }, action);
      if (life != life_) break;
    }
    if (life != life_) break;
  }
  stepping_ = false;
  if (life != life_ || core_ == nullptr) return;
  if (core_->IsWelcomed() && in_touch_since_ < 0) in_touch_since_ = world_->agenda.now();
  if (!core_->IsWelcomed()) in_touch_since_ = -1;
  WantWake();
  MaybeOpen();
}

void Node::WantWake() {
  if (core_ == nullptr || paused_) return;
  const int64_t wake_ms = core_->WakeAtMs();
  if (wake_ms == std::numeric_limits<int64_t>::max()) return;
  const Micros in = std::max<Micros>(0, (wake_ms - NowMs()) * kMilli);
  const Micros at = world_->agenda.now() + in + kMilli;
  if (wake_at_ > world_->agenda.now() && wake_at_ <= at) return;
  wake_at_ = at;
  world_->agenda.At(at, [this, life = life_, at] {
    if (life != life_ || wake_at_ != at || core_ == nullptr) return;
    wake_at_ = -1;
    if (paused_) return;
    if (NowMs() >= core_->WakeAtMs()) {
      Feed(core::Tick{});
    } else {
      WantWake();
    }
  });
}

void Node::MaybeOpen() {
  if (core_ == nullptr || paused_ || stepping_ || stream_ != 0) return;
  if (world_->agenda.now() < open_at_) return;
  if (!core_->IsSettled() && world_->agenda.now() < settle_by_) return;
  stream_ = world_->network->Open(index_, life_);
  Feed(core::StreamOpened{});
}

void Node::RetryOpen() {
  const Micros delay = (Micros{50} << std::min(failures_, kDoublingsMax)) * kMilli;
  ++failures_;
  const Micros jitter = static_cast<Micros>(world_->dice.Unit() * core_->reconnect_jitter_ms());
  open_at_ = world_->agenda.now() + std::min(delay, 2 * kSecond) + jitter * kMilli;
  world_->agenda.At(open_at_, [this, life = life_] {
    if (life == life_) MaybeOpen();
  });
}

void Node::OnStreamClosed(uint64_t stream, const absl::Status& status) {
  if (core_ == nullptr || stream != stream_) return;
  if (paused_) {  // it learns of it when it wakes
    world_->agenda.After(50 * kMilli, [this, life = life_, stream, status] {
      if (life == life_) OnStreamClosed(stream, status);
    });
    return;
  }
  stream_ = 0;
  open_at_ = std::numeric_limits<Micros>::max();
  const uint64_t life = life_;
  Feed(core::StreamClosed{});
  if (life != life_) return;
  if (absl::IsFailedPrecondition(status)) return Refuse(status);
  RetryOpen();
}

// The daemon ends; whatever looks after it starts it again.
void Node::Refuse(const absl::Status& status) {
  if (world_->trace.on()) world_->trace.Say(name_, "refused: " + std::string(status.message()));
  CrashWorker();
  world_->agenda.After(world_->dice.Between(1 * kSecond, 5 * kSecond), [this] { StartWorker(); });
}

void Node::OnCoordinatorMessage(uint64_t stream, v1::CoordinatorMessage message) {
  if (core_ == nullptr || stream != stream_) return;
  Disk* from = world_->network->DiskOf(stream);
  const uint64_t epoch = message.epoch();
  if (from != nullptr && epoch >= epoch_) {
    if (std::string wrong = CheckOrder(message, *from); !wrong.empty()) {
      return world_->Fail(std::move(wrong));
    }
  }
  if (paused_) {
    inputs_.push_back(core::FromCoordinator{std::move(message)});
    return;
  }
  if (message.has_welcome()) failures_ = 0;
  dropped_ = false;
  const uint64_t life = life_;
  Feed(core::FromCoordinator{std::move(message)});
  if (dropped_ || life != life_ || from == nullptr) return;
  if (epoch < epoch_ && world_->conf.Checks("epochs")) {
    return world_->Fail(
        fmt::format("epochs: {} obeys epoch {} after epoch {}", name_, epoch, epoch_));
  }
  const auto [master, first] = obeyed_.try_emplace(epoch, from);
  if (!first && master->second != from && world_->conf.Checks("epochs")) {
    world_->Fail(fmt::format("epochs: {} obeys two coordinators of epoch {}", name_, epoch));
  }
}

// Nothing takes effect without a durable record.
std::string Node::CheckOrder(const v1::CoordinatorMessage& message, Disk& from) {
  const JournalView& view = from.view;
  const auto durable = [&](uint64_t record) { return record > 0 && record <= from.durable; };
  const auto wrong = [&](uint64_t job, uint64_t attempt, const char* what) {
    return !world_->conf.Checks("effects")
               ? std::string()
               : fmt::format("effects: {} is told {} {}.{}, which no durable record says", name_,
                             what, job, attempt);
  };
  if (message.has_start()) {
    const v1::StartRanks& start = message.start();
    const auto* attempt = view.Attempt(start.job_id(), start.attempt());
    if (attempt != nullptr && durable(attempt->started)) return "";
    return wrong(start.job_id(), start.attempt(), "to start");
  }
  if (message.has_stop()) {
    const v1::StopRanks& stop = message.stop();
    const auto* attempt = view.Attempt(stop.job_id(), stop.attempt());
    if (attempt == nullptr || durable(attempt->stopping) || durable(attempt->ended)) return "";
    // Not of this attempt's nodes: it has no business there.
    for (const PlacedShare& share : attempt->shares) {
      if (share.node == name_) return wrong(stop.job_id(), stop.attempt(), "to stop");
    }
    return "";
  }
  if (message.has_release()) {
    const v1::ReleaseAttempt& release = message.release();
    const auto* attempt = view.Attempt(release.job_id(), release.attempt());
    if (attempt == nullptr || durable(attempt->ended)) return "";
    for (const PlacedShare& share : attempt->shares) {
      if (share.node == name_) return wrong(release.job_id(), release.attempt(), "to forget");
    }
    return "";
  }
  if (message.has_commit_reply() && message.commit_reply().permitted()) {
    const v1::CommitReply& reply = message.commit_reply();
    if (durable(view.PermitOf(reply.job_id(), reply.attempt(), reply.step()))) return "";
    return wrong(reply.job_id(), reply.attempt(), "it may commit");
  }
  return "";
}

void Node::OnShimMessage(const Key& key, v1::ShimToWorker message) {
  world_->agenda.After(100, [this, life = life_, key, said = std::move(message)]() mutable {
    if (life == life_ && core_ != nullptr) Feed(core::FromShim{key, std::move(said)});
  });
}

void Node::OnShimGone(const Key& key) {
  if (core_ != nullptr) Feed(core::ShimGone{key});
}

void Node::WriteReport(const Key& key, const v1::AttemptReport& report) {
  const auto found = folders_.find(key);
  if (found != folders_.end()) found->second.last = report;
}

void Node::Do(const core::RecordEpoch& action) {
  if (action.epoch.value() < epoch_ && world_->conf.Checks("epochs")) {
    world_->Fail(fmt::format("epochs: {} takes epoch {} after epoch {}", name_,
                             action.epoch.value(), epoch_));
  }
  epoch_ = action.epoch.value();
  epoch_nonce_ = action.nonce;
}

void Node::Do(const core::RecordClusterId& action) { cluster_id_ = action.cluster_id; }

void Node::Do(core::SendToCoordinator& action) {
  if (world_->trace.on()) {
    world_->trace.Say(name_, "says " + action.message.ShortDebugString().substr(0, 300));
  }
  if (stream_ != 0) world_->network->FromWorker(stream_, std::move(action.message));
}

void Node::Do(const core::DropStream&) {
  dropped_ = true;
  if (stream_ != 0) world_->network->CloseByWorker(stream_);
}

void Node::Do(const core::EndWorker& action) {
  world_->Fail("epochs: a worker was made to leave its cluster: " + action.reason);
}

void Node::Do(const core::SpawnShim& action) {
  const Key key = action.key;
  if (world_->dice.Chance(world_->faults_on ? world_->conf.spawn_fails : 0)) {
    inputs_.push_back(core::SpawnFailed{key, "no memory"});
    return;
  }
  auto shim = std::make_unique<Shim>(world_, this, action.start);
  for (const auto& [other_key, other] : shims_) {
    if (!other->HasRanks()) continue;
    for (const uint32_t slot : shim->slots()) {
      if (std::count(other->slots().begin(), other->slots().end(), slot) == 0) continue;
      if (!world_->conf.Checks("slots")) continue;
      return world_->Fail(
          fmt::format("slots: attempt {} starts on slot {} of {}, where ranks of {} run",
                      core::AttemptName(key), slot, name_, core::AttemptName(other_key)));
    }
  }
  world_->trace.Mark(205, index_, key.job.value());
  if (world_->trace.on()) world_->trace.Say(name_, "spawns shim " + core::AttemptName(key));
  folders_[key] = {action.start, std::nullopt};
  Shim& spawned = *(shims_[key] = std::move(shim));
  spawned.Spawn();
  world_->agenda.After(world_->dice.Between(2 * kMilli, 30 * kMilli), [this, life = life_, key] {
    Shim* found = FindShim(key);
    if (life != life_ || found == nullptr || !found->alive()) return;
    found->WorkerCame();
    Feed(core::ShimConnected{key});
  });
}

void Node::Do(const core::SendToShim& action) {
  Shim* shim = FindShim(action.key);
  if (shim == nullptr || !shim->connected()) return;
  world_->agenda.After(100, [this, key = action.key, message = action.message] {
    if (Shim* found = FindShim(key)) found->FromWorker(message);
  });
}

void Node::Do(const core::CleanUp& action) {
  world_->agenda.After(
      world_->dice.Between(20 * kMilli, 500 * kMilli), [this, life = life_, key = action.key] {
        if (life != life_) return;
        if (Shim* shim = FindShim(key)) {
          const bool was_alive = shim->alive();
          shim->KillAll();
          if (was_alive) Feed(core::ShimGone{key});
        }
        if (life != life_) return;
        const auto folder = folders_.find(key);
        Feed(core::CleanedUp{key, folder == folders_.end() ? std::nullopt : folder->second.last});
      });
}

void Node::Do(const core::RemoveFolder& action) {
  if (Shim* shim = FindShim(action.key); shim != nullptr && shim->HasRanks()) {
    return world_->Fail(fmt::format("leftovers: {} forgets attempt {} while ranks of it run", name_,
                                    core::AttemptName(action.key)));
  }
  folders_.erase(action.key);
  shims_.erase(action.key);
}

void Node::Do(const core::StartTest& action) {
  testing_ = action.test;
  const bool passes = !world_->faults_on || !world_->dice.Chance(world_->conf.test_fails);
  world_->agenda.After(world_->dice.Between(200 * kMilli, 3 * kSecond),
                       [this, life = life_, test = action.test, passes] {
                         if (life != life_ || testing_ != test) return;
                         Feed(core::TestDone{test, passes, passes ? "all well" : "wrong product"});
                       });
}

void Node::Do(const core::Note& action) {
  if (world_->trace.on()) world_->trace.Say(name_, "notes: " + action.text);
}

}  // namespace muster::sim
