// What would let a gang start: each way tried on the spot, so that every line is true by itself.
#include <fmt/format.h>

#include <algorithm>

#include "common/hostlist.h"
#include "coordinator/scheduler/node_rules.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/shortage.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr size_t kNodesTried = 8;

class WhatIf {
 public:
  WhatIf(const Gang& gang, const Inventory& inventory)
      : gang_(gang),
        inventory_(inventory),
        always_(gang.preemptible ? kLentRule : kNoRule),
        room_(RoomWithout(0)) {}

  std::vector<std::string> Lines() {
    if (FitsIn(room_)) return {};
    AddSlots();
    AddNodesBack();
    const auto& placement = gang_.spec->placement();
    if (FitsWithout(kExcludeRule)) {
      Add(fmt::format("placement.exclude without {}",
                      fmt::join(placement.exclude().begin(), placement.exclude().end(), ",")));
    }
    if (FitsWithout(kSelectRule)) Add("nodes that placement.select leaves out");
    if (FitsWithout(kTaintRule)) Add("nodes with taints that placement.tolerate does not name");
    if (FitsWithout(kDeviceRule)) {
      Add(fmt::format("other devices than {}", gang_.spec->resources().device()));
    }
    if (FitsWithout(kSpareRule)) Add("the hot spares of other jobs");
    if (FitsWithout(kIdleRule)) Add("nodes shared with other jobs (resources.exclusive: false)");
    return std::move(lines_);
  }

 private:
  std::vector<uint32_t> RoomWithout(uint32_t waived) const {
    return NodeRules(gang_, inventory_, nullptr, always_ | waived).RoomByLeaf();
  }

  bool FitsIn(const std::vector<uint32_t>& room) const {
    const Capacity capacity = CapacityOf(*gang_.shape, inventory_.tree(), room);
    return Fits(*gang_.shape, capacity) &&
           !Pack(*gang_.shape, inventory_.tree(), capacity, {}).empty();
  }

  bool FitsWithout(uint32_t waived) const {
    const std::vector<uint32_t> room = RoomWithout(waived);
    return room != room_ && FitsIn(room);
  }

  void Add(std::string line) { lines_.push_back(std::move(line)); }

  // Slots that others hold would have to come free, if these are enough.
  void AddSlots() {
    if (!FitsWithout(kHeldRule | kIdleRule)) return;
    const Capacity capacity = CapacityOf(*gang_.shape, inventory_.tree(), room_);
    const Shortage shortage = FindShortage(*gang_.shape, capacity, true);
    if (gang_.shape->exclusive) return Add("more idle nodes");
    const std::string where = LevelText(shortage.level);
    const std::string in = shortage.level == kNode ? "on" : "in";
    const uint64_t missing = shortage.needed - std::min(shortage.needed, shortage.there);
    switch (shortage.kind) {
      case Shortage::kSlots:
        if (shortage.blocks_missing == 0) return Add(CountText(missing, "more free slot"));
        [[fallthrough]];
      case Shortage::kBlock:
      case Shortage::kBlocks:
        if (shortage.kind == Shortage::kBlock && shortage.blocks_missing == 1) {
          return Add(fmt::format("{} {} one {}", CountText(missing, "more free slot"), in, where));
        }
        return Add(fmt::format("{} of {}, each {} one {}",
                               CountText(shortage.blocks_missing, "more free group"),
                               CountText(shortage.block, "slot"), in, where));
      case Shortage::kDomains:
        return Add(fmt::format("{} with {} free", CountText(missing, "more " + where),
                               CountText(shortage.block, "slot")));
      case Shortage::kSpreadTie:
      case Shortage::kNothing:
        return;
    }
  }

  // "n2 back in service", "n2 or n3 back in service"; if no single one is enough, all of them.
  void AddNodesBack() {
    const std::vector<uint32_t> with_all = RoomWithout(kUsableRule);
    if (with_all == room_ || !FitsIn(with_all)) return;
    std::vector<std::string> alone, all;
    for (size_t leaf = 0; leaf < room_.size(); ++leaf) {
      if (with_all[leaf] == room_[leaf]) continue;
      all.push_back(inventory_.facts(inventory_.tree().order[leaf]).name.value());
      if (all.size() > kNodesTried) continue;
      std::vector<uint32_t> room = room_;
      room[leaf] = with_all[leaf];
      if (FitsIn(room)) alone.push_back(all.back());
    }
    if (!alone.empty()) {
      Add(fmt::format("{} back in service", fmt::join(alone, " or ")));
    } else if (all.size() <= kNodesTried) {
      Add(fmt::format("{} back in service", FormatHostlist(all)));
    } else {
      Add(fmt::format("some of {} nodes back in service", all.size()));
    }
  }

  const Gang& gang_;
  const Inventory& inventory_;
  uint32_t always_;
  std::vector<uint32_t> room_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> WhatWouldUnblock(const Gang& gang, const Inventory& inventory) {
  return WhatIf(gang, inventory).Lines();
}

}  // namespace muster::coordinator::scheduler
