// What will be free when: the slots of now, and those that holders give back.
//
// Holders end in the order of `ends_by`, then by id; those without a known end come last, oldest
// first. The inventory inside is a copy that moves along this order; nothing outside changes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/scheduler/holding.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/promises.h"

namespace muster::coordinator::scheduler {

class Future {
 public:
  // A job that this pass started.
  struct Begun {
    JobId job;
    absl::Time ends_by;
    Holding holding;
  };
  // A snapshot of `now`, where `begun` hold their slots; `view` and `promises` outlive it.
  Future(const View& view, const Inventory& now, const Promises& promises,
         const std::vector<Begun>& begun);

  // After construction: a job was started in this pass, or is being stopped from now on.
  void Started(const WaitingJob& job, const Placed& placed, Begun begun);
  void Vacates(size_t running, absl::Time ends_by);

  // A job whose slots another gets.
  struct Ending {
    JobId job;
    uint64_t slots = 0;             // all it holds
    std::optional<size_t> running;  // index into View::running; none: started in this pass
  };
  struct Fit {
    Placed placed;
    absl::Time at = absl::InfiniteFuture();  // infinite: not known
    std::vector<Ending> after;               // last to end first
  };
  // The earliest time at which the gang fits beside the promises made so far; nullopt when it does
  // not fit even after all holders.
  std::optional<Fit> Earliest(const Gang& gang);
  // When these have ended, by index into View::running, and no other.
  std::optional<Fit> Without(const Gang& gang, const std::vector<size_t>& running);
  std::vector<SlotRef> SlotsOf(const Gang& gang, const Placed& placed) const;
  // Tried so far.
  uint64_t placements() const { return placements_; }
  // Slots of usable nodes free now.
  uint64_t free_now() const { return free_now_; }

 private:
  struct Holder {
    JobId job;
    absl::Time ends_by;
    uint64_t slots = 0;
    Holding holding;
    bool resolved = false;  // `holding` is known
    bool gone = false;      // in `inventory_`
  };
  bool Earlier(size_t a, size_t b) const;
  void Remove(size_t holder);  // gives its slots back in `inventory_`
  void Restore(size_t holder);
  void MoveTo(size_t prefix);  // exactly the first so many of `order_` are gone
  std::optional<Placed> PlaceAt(const Gang& gang, absl::Time at);
  void Enqueue(size_t holder);  // where it belongs in `order_`
  const std::vector<size_t>& Stops();
  // `ended`: holders, in the order they end.
  Fit MakeFit(const Gang& gang, Placed placed, const std::vector<size_t>& ended) const;

  const View& view_;
  const Promises& promises_;
  Inventory inventory_;
  uint64_t free_now_ = 0;
  uint64_t placements_ = 0;
  std::vector<Holder> holders_;  // those running first, as in the view
  std::vector<size_t> order_;    // as they end
  size_t prefix_ = 0;            // this many of `order_` are gone
  std::vector<size_t> stops_;    // prefixes worth a look: ends at one time come together
};

}  // namespace muster::coordinator::scheduler
