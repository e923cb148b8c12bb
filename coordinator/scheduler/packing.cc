#include "coordinator/scheduler/packing.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "common/check.h"

namespace muster::coordinator::scheduler {
namespace {

struct Range {
  uint32_t begin;
  uint32_t end;
};

class Packer {
 public:
  Packer(const Shape& shape, const DomainTree& tree, const Capacity& capacity,
         const std::vector<uint8_t>& liked)
      : shape_(shape), tree_(tree), capacity_(capacity) {
    if (liked.empty()) return;
    const auto add = [&](Level level, uint32_t at, const auto& self) -> uint32_t {
      uint32_t sum = level == kNode ? liked[at] : 0;
      if (level != kNode) {
        const Range children = Under(level, at, static_cast<Level>(level - 1));
        for (uint32_t i = children.begin; i < children.end; ++i) {
          sum += self(static_cast<Level>(level - 1), i, self);
        }
      }
      if (liked_[level].empty()) liked_[level].resize(capacity.slots[level].size());
      return liked_[level][at] = sum;
    };
    add(kCluster, 0, add);
  }

  std::vector<Run> Pack() {
    if (!Fits(shape_, capacity_)) return {};
    if (shape_.spread_across == v1::DOMAIN_UNSPECIFIED) {
      Fill(kCluster, 0, shape_.ranks);
    } else {
      across_ = LevelOf(shape_.spread_across);
      FillSpread(kCluster, 0, shape_.ranks);
      if (domains_used_ < shape_.spread_at_least) {
        // Even numbers of larger blocks may end where domains are few; few larger domains may not.
        even_above_ = false;
        domains_used_ = 0;
        runs_.clear();
        FillSpread(kCluster, 0, shape_.ranks);
      }
      if (domains_used_ < shape_.spread_at_least) return {};
    }
    std::sort(runs_.begin(), runs_.end(),
              [](const Run& a, const Run& b) { return a.leaf < b.leaf; });
    return std::move(runs_);
  }

 private:
  // The domains of level `down` inside domain `at` of `level`.
  Range Under(Level level, uint32_t at, Level down) const {
    Range range = {at, at + 1};
    const auto descend = [&](Level from, const std::vector<uint32_t>& begin) {
      if (level >= from && down < from) range = {begin[range.begin], begin[range.end]};
    };
    if (level == kCluster && down < kCluster) {
      range = {0, static_cast<uint32_t>(tree_.pod_begin.size() - 1)};
    }
    descend(kPod, tree_.pod_begin);
    descend(kRack, tree_.rack_begin);
    descend(kSegment, tree_.segment_begin);
    return range;
  }

  uint32_t liked(Level level, uint32_t at) const {
    return liked_[level].empty() ? 0 : liked_[level][at];
  }

  // Free slots of the domains around domain `at` of `level`, the closest first.
  std::array<uint32_t, 3> Around(Level level, uint32_t at) const {
    std::array<uint32_t, 3> slots = {};
    if (level <= kNode) slots[0] = capacity_.slots[kSegment][at = tree_.segment_of[at]];
    if (level <= kSegment) slots[1] = capacity_.slots[kRack][at = tree_.rack_of[at]];
    if (level <= kRack) slots[2] = capacity_.slots[kPod][tree_.pod_of[at]];
    return slots;
  }

  // True when `a` holds a rest better than `b`: tighter, then liked, then in tighter surroundings.
  // Among equals the first is kept.
  bool Better(Level level, uint32_t a, uint32_t b) const {
    const uint32_t slots_a = capacity_.slots[level][a], slots_b = capacity_.slots[level][b];
    if (slots_a != slots_b) return slots_a < slots_b;
    if (liked(level, a) != liked(level, b)) return liked(level, a) > liked(level, b);
    return Around(level, a) < Around(level, b);
  }

  // `need` ranks inside the domain, which can hold them.
  void Fill(Level level, uint32_t at, uint32_t need) {
    if (level == kNode) {
      runs_.push_back({at, need});
      return;
    }
    for (uint32_t down = kNode; down < level; ++down) {
      const auto& ranks = capacity_.ranks[down];
      const Range range = Under(level, at, static_cast<Level>(down));
      uint32_t best = range.end;
      for (uint32_t i = range.begin; i < range.end; ++i) {
        if (ranks[i] < need) continue;
        if (best == range.end || Better(static_cast<Level>(down), i, best)) best = i;
      }
      if (best != range.end) return Fill(static_cast<Level>(down), best, need);
    }
    Divide(level, at, need,
           [this](Level child, uint32_t i, uint32_t ranks) { Fill(child, i, ranks); });
  }

  // Over the children of the domain, largest first, the rest by tightest fit.
  template <typename FillChild>
  void Divide(Level level, uint32_t at, uint32_t need, FillChild fill) {
    const auto child = static_cast<Level>(level - 1);
    const auto& ranks = capacity_.ranks[child];
    const Range range = Under(level, at, child);
    std::vector<uint32_t> order;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      if (ranks[i] > 0) order.push_back(i);
    }
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      if (ranks[a] != ranks[b]) return ranks[a] > ranks[b];
      if (liked(child, a) != liked(child, b)) return liked(child, a) > liked(child, b);
      const uint32_t slots_a = capacity_.slots[child][a], slots_b = capacity_.slots[child][b];
      return slots_a != slots_b ? slots_a < slots_b : a < b;
    });
    for (size_t next = 0; need > 0; ++next) {
      CHECK(next < order.size(), "a domain holds fewer ranks than its capacity");
      if (ranks[order[next]] < need) {
        fill(child, order[next], ranks[order[next]]);
        need -= ranks[order[next]];
        continue;
      }
      uint32_t best = order[next];
      for (size_t i = next + 1; i < order.size() && ranks[order[i]] >= need; ++i) {
        if (Better(child, order[i], best)) best = order[i];
      }
      fill(child, best, need);
      need = 0;
    }
  }

  void FillSpread(Level level, uint32_t at, uint32_t need) {
    if (level <= across_) {
      ++domains_used_;
      return Fill(level, at, need);
    }
    if (level - 1u == across_ || capacity_.block[level - 1] <= capacity_.block[across_]) {
      return SpreadEvenly(level, at, need, across_);
    }
    if (even_above_) return SpreadEvenly(level, at, need, static_cast<Level>(level - 1));
    Divide(level, at, need,
           [this](Level child, uint32_t i, uint32_t ranks) { FillSpread(child, i, ranks); });
  }

  // Over as many domains of the level `down` as there is room in, as evenly as possible.
  void SpreadEvenly(Level level, uint32_t at, uint32_t need, Level down) {
    const uint32_t unit = capacity_.block[down];
    const uint32_t units = need / unit;
    const auto& ranks = capacity_.ranks[down];
    const Range range = Under(level, at, down);
    std::vector<uint32_t> order;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      if (ranks[i] > 0) order.push_back(i);
    }
    const size_t domains = std::min<size_t>(units, order.size());
    const auto most = static_cast<uint32_t>((units + domains - 1) / domains) * unit;
    // The largest first; room beyond an even part makes no difference, there the tightest goes.
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const uint32_t part_a = std::min(ranks[a], most), part_b = std::min(ranks[b], most);
      if (part_a != part_b) return part_a > part_b;
      if (liked(down, a) != liked(down, b)) return liked(down, a) > liked(down, b);
      const uint32_t slots_a = capacity_.slots[down][a], slots_b = capacity_.slots[down][b];
      return slots_a != slots_b ? slots_a < slots_b : a < b;
    });
    std::vector<uint32_t> share(order.size());
    uint32_t left = units;
    // Rounds of one unit each; domains that are full drop out.
    while (left > 0) {
      const uint32_t before = left;
      for (size_t i = 0; i < domains && left > 0; ++i) {
        if ((share[i] + 1) * unit > ranks[order[i]]) continue;
        ++share[i];
        --left;
      }
      CHECK(left < before, "a spread holds fewer parts than its capacity");
    }
    for (size_t i = 0; i < order.size(); ++i) {
      if (share[i] > 0) FillSpread(down, order[i], share[i] * unit);
    }
  }

  const Shape& shape_;
  const DomainTree& tree_;
  const Capacity& capacity_;
  std::array<std::vector<uint32_t>, kLevels> liked_;
  Level across_ = kNode;
  bool even_above_ = true;
  uint32_t domains_used_ = 0;
  std::vector<Run> runs_;
};

}  // namespace

std::vector<Run> Pack(const Shape& shape, const DomainTree& tree, const Capacity& capacity,
                      const std::vector<uint8_t>& liked) {
  return Packer(shape, tree, capacity, liked).Pack();
}

}  // namespace muster::coordinator::scheduler
