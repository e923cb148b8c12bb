#include "trainer/collective/noted.h"

#include <algorithm>
#include <utility>

#include "common/status.h"

namespace muster::trainer::collective {
namespace {

// From its making to its end the rank is inside one collective.
class Inside {
 public:
  Inside(CollectiveRing& ring, muster_collective operation, muster_group group, size_t bytes)
      : ring_(ring), number_(ring.Begin(operation, group, bytes)) {}
  ~Inside() { ring_.Done(number_); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  CollectiveRing& ring_;
  const uint64_t number_;
};

class NotedPending : public Pending {
 public:
  NotedPending(CollectiveRing& ring, uint64_t number, std::unique_ptr<Pending> inner)
      : ring_(ring), number_(number), inner_(std::move(inner)) {}

  absl::Status Wait() override {
    ring_.Wait(number_);
    absl::Status status = inner_->Wait();
    ring_.Done(number_);
    return status;
  }

 private:
  CollectiveRing& ring_;
  const uint64_t number_;
  std::unique_ptr<Pending> inner_;
};

class NotedCollective : public Collective {
 public:
  NotedCollective(Collective& inner, std::unique_ptr<Collective> owned, CollectiveRing& ring,
                  muster_group group)
      : owned_(std::move(owned)), inner_(inner), ring_(ring), group_(group) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }

  absl::Status AllReduce(std::span<float> data) override {
    const Inside inside(ring_, MUSTER_COLLECTIVE_ALL_REDUCE, group_, data.size_bytes());
    return inner_.AllReduce(data);
  }
  absl::Status AllReduceMax(std::span<float> data) override {
    const Inside inside(ring_, MUSTER_COLLECTIVE_ALL_REDUCE, group_, data.size_bytes());
    return inner_.AllReduceMax(data);
  }

  absl::StatusOr<std::unique_ptr<Pending>> StartReduceScatter(
      std::span<const float> in, std::span<float> out, std::span<const size_t> counts) override {
    const uint64_t number = ring_.Start(MUSTER_COLLECTIVE_REDUCE_SCATTER, group_, in.size_bytes());
    return Started(number, inner_.StartReduceScatter(in, out, counts));
  }
  absl::StatusOr<std::unique_ptr<Pending>> StartAllGather(std::span<const float> in,
                                                          std::span<float> out,
                                                          std::span<const size_t> counts) override {
    const uint64_t number = ring_.Start(MUSTER_COLLECTIVE_ALL_GATHER, group_, out.size_bytes());
    return Started(number, inner_.StartAllGather(in, out, counts));
  }
  absl::Status Progress() override { return inner_.Progress(); }

  absl::Status Broadcast(std::span<std::byte> data, int root) override {
    const Inside inside(ring_, MUSTER_COLLECTIVE_BROADCAST, group_, data.size());
    return inner_.Broadcast(data, root);
  }
  absl::StatusOr<std::vector<std::vector<std::byte>>> AllGatherBytes(
      std::span<const std::byte> data) override {
    const Inside inside(ring_, MUSTER_COLLECTIVE_ALL_GATHER, group_, data.size());
    return inner_.AllGatherBytes(data);
  }
  absl::StatusOr<std::vector<std::vector<std::byte>>> AllToAllBytes(
      const std::vector<std::vector<std::byte>>& to) override {
    size_t bytes = 0;
    for (const std::vector<std::byte>& one : to) bytes += one.size();
    const Inside inside(ring_, MUSTER_COLLECTIVE_ALL_TO_ALL, group_, bytes);
    return inner_.AllToAllBytes(to);
  }
  absl::Status Barrier() override {
    const Inside inside(ring_, MUSTER_COLLECTIVE_BARRIER, group_, 0);
    return inner_.Barrier();
  }
  absl::StatusOr<std::unique_ptr<Collective>> Split(int color) override {
    const Inside inside(ring_, MUSTER_COLLECTIVE_BARRIER, group_, 0);
    return inner_.Split(color);
  }

 private:
  absl::StatusOr<std::unique_ptr<Pending>> Started(
      uint64_t number, absl::StatusOr<std::unique_ptr<Pending>> pending) {
    if (!pending.ok()) {
      ring_.Done(number);
      return pending.status();
    }
    return std::make_unique<NotedPending>(ring_, number, *std::move(pending));
  }

  const std::unique_ptr<Collective> owned_;  // null: somebody else's
  Collective& inner_;
  CollectiveRing& ring_;
  const muster_group group_;
};

}  // namespace

std::unique_ptr<Collective> Noted(std::unique_ptr<Collective> inner, CollectiveRing* ring,
                                  muster_group group) {
  if (ring == nullptr || inner->size() == 1) return inner;
  Collective& other = *inner;
  return std::make_unique<NotedCollective>(other, std::move(inner), *ring, group);
}

std::unique_ptr<Collective> NotedBeside(Collective& inner, CollectiveRing* ring,
                                        muster_group group) {
  if (ring == nullptr || inner.size() == 1) return nullptr;
  return std::make_unique<NotedCollective>(inner, nullptr, *ring, group);
}

}  // namespace muster::trainer::collective
