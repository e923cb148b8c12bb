#include "sim/network.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "sim/coordinator_process.h"
#include "sim/node.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

constexpr Micros kKeepaliveMin = 2 * kSecond;
constexpr Micros kKeepaliveMax = 4 * kSecond;
constexpr Micros kDialTimeout = 1 * kSecond;

}  // namespace

Micros Network::Delay() {
  const Case& conf = world_->conf;
  // Mostly quick, now and then slow.
  const Micros most = world_->dice.Chance(0.1) ? conf.delay_max : 2 * conf.delay;
  return world_->dice.Between(conf.delay, std::max(conf.delay, most));
}

Stream* Network::Find(uint64_t stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : &found->second;
}

Disk* Network::DiskOf(uint64_t id) {
  const Stream* stream = Find(id);
  return stream == nullptr ? nullptr : &stream->coordinator->disk();
}

Stream* Network::OfNode(size_t node) {
  const uint64_t id = world_->nodes[node]->stream();
  return id == 0 ? nullptr : Find(id);
}

bool Network::UpBlocked(size_t node) const {
  const auto wall = walls_.find(node);
  return wall != walls_.end() && wall->second.up_until > world_->agenda.now();
}

bool Network::DownBlocked(size_t node) const {
  const auto wall = walls_.find(node);
  return wall != walls_.end() && wall->second.down_until > world_->agenda.now();
}

bool Network::CutOff(size_t node) const { return UpBlocked(node) || DownBlocked(node); }

uint64_t Network::Open(size_t node, uint64_t worker_life) {
  const uint64_t id = ++last_;
  Stream& stream = streams_[id];
  stream.id = id;
  stream.node = node;
  stream.worker_life = worker_life;
  stream.coordinator = world_->leader();
  const bool silent = CutOff(node) || !stream.coordinator->machine_up();
  if (silent || !stream.coordinator->serving()) {
    stream.broken = true;
    stream.coordinator_open = false;
    TellWorker(id, absl::UnavailableError("no coordinator there"), silent ? kDialTimeout : Delay());
    return id;
  }
  stream.coordinator_life = stream.coordinator->life();
  return id;
}

void Network::Arrive(uint64_t id, bool up, std::function<void()> act) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->broken) return;
  auto& held = up ? stream->up_held : stream->down_held;
  if (!held.empty() || (up ? UpBlocked(stream->node) : DownBlocked(stream->node))) {
    held.push_back(std::move(act));
    return;
  }
  act();
}

void Network::FromWorker(uint64_t id, v1::WorkerMessage message) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->broken || !stream->worker_open) return;
  stream->up_at = std::max(stream->up_at, world_->agenda.now() + Delay());
  world_->agenda.At(stream->up_at, [this, id, said = std::move(message)]() mutable {
    Arrive(id, true, [this, id, said = std::move(said)]() mutable {
      Stream& at = *Find(id);
      if (!at.coordinator_open || at.coordinator->life() != at.coordinator_life) return;
      at.hello_arrived = true;
      at.coordinator->OnWorkerMessage(id, std::move(said));
    });
  });
}

void Network::FromCoordinator(uint64_t id, v1::CoordinatorMessage message) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->broken || !stream->coordinator_open) return;
  stream->down_at = std::max(stream->down_at, world_->agenda.now() + Delay());
  world_->agenda.At(stream->down_at, [this, id, said = std::move(message)]() mutable {
    Arrive(id, false, [this, id, said = std::move(said)]() mutable {
      const Stream& at = *Find(id);
      if (!at.worker_open) return;
      world_->nodes[at.node]->OnCoordinatorMessage(id, std::move(said));
    });
  });
}

void Network::TellWorker(uint64_t id, const absl::Status& status, Micros in) {
  world_->agenda.After(in, [this, id, status] {
    Stream* stream = Find(id);
    if (stream == nullptr || !stream->worker_open) return;
    stream->worker_open = false;
    stream->broken = true;
    const size_t node = stream->node;
    // The other side finds out, at the latest by its keepalive.
    if (stream->coordinator_open) TellCoordinator(id, "keepalive", LateNotice(node));
    MaybeForget(id);
    world_->nodes[node]->OnStreamClosed(id, status);
  });
}

void Network::TellCoordinator(uint64_t id, const std::string& why, Micros in) {
  world_->agenda.After(in, [this, id, why] {
    Stream* stream = Find(id);
    if (stream == nullptr || !stream->coordinator_open) return;
    stream->coordinator_open = false;
    stream->broken = true;
    CoordinatorProcess* coordinator = stream->coordinator;
    const bool same_life = coordinator->life() == stream->coordinator_life;
    const bool said_hello = stream->hello_arrived;
    if (stream->worker_open) {
      TellWorker(id, absl::UnavailableError("keepalive"), LateNotice(stream->node));
    }
    MaybeForget(id);
    if (same_life && said_hello) coordinator->OnWorkerGone(id, why);
  });
}

Micros Network::LateNotice(size_t node) {
  return CutOff(node) || world_->dice.Chance(0.3)
             ? world_->dice.Between(kKeepaliveMin, kKeepaliveMax)
             : Delay();
}

void Network::MaybeForget(uint64_t id) {
  const Stream* stream = Find(id);
  if (!stream->worker_open && !stream->coordinator_open) streams_.erase(id);
}

void Network::Break(Stream& stream, const std::string& why, Micros worker_in,
                    Micros coordinator_in) {
  stream.broken = true;
  if (stream.worker_open) TellWorker(stream.id, absl::UnavailableError(why), worker_in);
  if (stream.coordinator_open) TellCoordinator(stream.id, why, coordinator_in);
}

void Network::CloseByWorker(uint64_t id) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->worker_open) return;
  // What it sent before still arrives, unless the way is blocked.
  if (UpBlocked(stream->node)) return Break(*stream, "cancelled", 0, world_->conf.half_open);
  TellWorker(id, absl::CancelledError("dropped"), 0);
  const Micros gone = std::max(stream->up_at, world_->agenda.now() + Delay());
  TellCoordinator(id, "the worker closed its stream", gone - world_->agenda.now());
}

void Network::CloseByCoordinator(uint64_t id, const absl::Status& status) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->coordinator_open) return;
  TellCoordinator(id, std::string(status.message()), 0);
  if (DownBlocked(stream->node)) {
    return TellWorker(id, absl::UnavailableError("keepalive"),
                      world_->dice.Between(kKeepaliveMin, kKeepaliveMax));
  }
  const Micros told = std::max(stream->down_at, world_->agenda.now() + Delay());
  TellWorker(id, status, told - world_->agenda.now());
}

void Network::WorkerGone(size_t node, bool silently) {
  for (auto& [id, stream] : streams_) {
    if (stream.node != node || !stream.worker_open) continue;
    stream.worker_open = false;
    stream.broken = true;
    if (!stream.coordinator_open) continue;
    const bool late = silently || UpBlocked(node);
    TellCoordinator(id, "connection reset",
                    late ? world_->dice.Between(kKeepaliveMin, world_->conf.half_open) : Delay());
  }
  std::erase_if(streams_, [](const auto& entry) {
    return !entry.second.worker_open && !entry.second.coordinator_open;
  });
}

void Network::CoordinatorGone(CoordinatorProcess* coordinator, bool silently) {
  for (auto& [id, stream] : streams_) {
    if (stream.coordinator != coordinator || !stream.coordinator_open) continue;
    stream.coordinator_open = false;
    stream.broken = true;
    const bool late = silently || DownBlocked(stream.node);
    if (!stream.worker_open) continue;
    TellWorker(id, absl::UnavailableError("connection reset"),
               late ? world_->dice.Between(kKeepaliveMin, kKeepaliveMax) : Delay());
  }
  std::erase_if(streams_, [](const auto& entry) {
    return !entry.second.worker_open && !entry.second.coordinator_open;
  });
}

bool Network::Cut(size_t node) {
  Stream* stream = OfNode(node);
  if (stream == nullptr || stream->broken) return false;
  const auto notice = [this] {
    return world_->dice.Chance(0.5) ? Delay() : world_->dice.Between(0, world_->conf.half_open);
  };
  const Micros worker_in = notice();
  Break(*stream, "connection broken", worker_in, notice());
  return true;
}

void Network::Partition(size_t node, bool up, bool down, Micros until) {
  Wall& wall = walls_[node];
  if (up) wall.up_until = std::max(wall.up_until, until);
  if (down) wall.down_until = std::max(wall.down_until, until);
  const Micros span = until - world_->agenda.now();
  // A ping needs both directions; either side may find out first.
  for (auto& [id, stream] : streams_) {
    if (stream.node != node || stream.broken) continue;
    const Micros worker_in = world_->dice.Between(kKeepaliveMin, kKeepaliveMax);
    const Micros coordinator_in =
        world_->dice.Between(kKeepaliveMin, std::max(kKeepaliveMax, world_->conf.half_open));
    if (worker_in < span) TellWorker(id, absl::UnavailableError("keepalive"), worker_in);
    if (std::min(worker_in, coordinator_in) < span) {
      TellCoordinator(id, "keepalive", coordinator_in);
    }
  }
  world_->agenda.At(until, [this, node] { Flush(node); });
}

void Network::Flush(size_t node) {
  std::vector<uint64_t> ids;
  for (const auto& [id, stream] : streams_) {
    if (stream.node == node) ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    for (const bool up : {true, false}) {
      while (true) {
        Stream* stream = Find(id);
        if (stream == nullptr || (up ? UpBlocked(node) : DownBlocked(node))) break;
        auto& held = up ? stream->up_held : stream->down_held;
        if (held.empty()) break;
        const auto act = std::move(held.front());
        held.pop_front();
        if (!stream->broken) act();
      }
    }
  }
}

void Network::HealAll() {
  std::vector<size_t> nodes;
  for (const auto& [node, wall] : walls_) nodes.push_back(node);
  walls_.clear();
  for (const size_t node : nodes) Flush(node);
}

}  // namespace muster::sim
