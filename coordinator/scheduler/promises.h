// Slots promised to blocked jobs, and from when.
//
// The rule that keeps a promise: a later job may have a promised slot only when it must have ended
// by the time of the promise. A promise whose time is not known admits nobody.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/place.h"

namespace muster::coordinator::scheduler {

struct SlotRef {
  NodeIndex node = 0;
  uint32_t slot = 0;
  auto operator<=>(const SlotRef&) const = default;
};

struct Promise {
  JobId job;
  absl::Time at = absl::InfiniteFuture();     // infinite: not known
  absl::Time until = absl::InfiniteFuture();  // its time limit after `at`
  std::vector<SlotRef> slots;
};

class Promises {
 public:
  // The inventory outlives it; its nodes and their sizes stay as they are.
  explicit Promises(const Inventory& inventory) : inventory_(inventory) {}

  void Add(Promise promise);
  const std::vector<Promise>& all() const { return all_; }
  // Who gets the slot first; nullptr when it is not promised.
  const Promise* Of(SlotRef slot) const;

  // Slots of those that are due by then and not over.
  uint64_t HeldAt(absl::Time at) const;

  // For a job that would start now and end at `end` (infinite: no time limit).
  class ForStart : public Denied {
   public:
    ForStart(const Promises& promises, absl::Time end);
    bool IsDenied(NodeIndex node, uint32_t slot) const override;
    bool MayDeny(NodeIndex node) const override;

   private:
    const Promises& promises_;
    int64_t end_;
  };

  // For a promise that would begin at `at`: earlier ones that are not over by then.
  class ForPromise : public Denied {
   public:
    ForPromise(const Promises& promises, absl::Time at);
    bool IsDenied(NodeIndex node, uint32_t slot) const override;
    bool MayDeny(NodeIndex node) const override;

   private:
    const Promises& promises_;
    int64_t at_;
  };

 private:
  size_t Flat(NodeIndex node, uint32_t slot) const { return first_[node] + slot; }

  const Inventory& inventory_;
  std::vector<Promise> all_;   // in queue order
  std::vector<size_t> first_;  // node → its first slot in flat arrays; empty before any promise
  // Flat: when the slot is needed first (INT64_MAX = never) and last (INT64_MIN = never), ns.
  std::vector<int64_t> from_, until_;
  std::vector<int64_t> node_from_, node_until_;  // the earliest, the latest of each node's slots
};

}  // namespace muster::coordinator::scheduler
