// Placements per second, latency of the largest gangs, fragmentation and memory of the scheduler's
// placement, beside its budget and what the field publishes.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "common/check.h"
#include "coordinator/scheduler/place.h"

namespace {

using namespace muster;
using namespace muster::coordinator::scheduler;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kSlots = 8;
constexpr int kRuns = 5;

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// 4 nodes a rack, 16 racks a pod.
Inventory Cluster(uint32_t nodes) {
  Inventory inventory;
  for (uint32_t i = 0; i < nodes; ++i) {
    NodeFacts facts;
    facts.name = NodeId(fmt::format("n{}", i + 1));
    facts.slots = kSlots;
    facts.location.set_rack(fmt::format("r{}", i / 4));
    facts.location.set_pod(fmt::format("p{}", i / 64));
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      v1::Device& device = facts.devices.emplace_back();
      device.set_slot(slot);
      device.set_kind("NVIDIA H100");
    }
    inventory.SetUsable(inventory.Set(facts), true, "");
  }
  inventory.tree();
  return inventory;
}

v1::JobSpec Spec(uint32_t outer, uint32_t tensor) {
  v1::JobSpec spec;
  v1::Axis* data = spec.add_mesh();
  data->set_name("data");
  data->set_size(outer);
  if (tensor > 1) {
    v1::Axis* axis = spec.add_mesh();
    axis->set_name("tensor");
    axis->set_size(tensor);
    axis->set_within(v1::DOMAIN_NODE);
  }
  spec.mutable_resources()->set_slots_per_rank(1);
  return spec;
}

struct Asks {
  explicit Asks(v1::JobSpec of) : spec(std::move(of)), shape(ShapeOf(spec)) {}
  Gang gang(JobId job) const { return {job, &spec, &shape, true, nullptr}; }
  v1::JobSpec spec;
  Shape shape;
};

// What packing is compared with: the first node with room, by number, or the emptiest.
std::optional<Placed> Plain(const Gang& gang, const Inventory& inventory, bool emptiest) {
  NodeIndex best = Inventory::kNone;
  for (NodeIndex node = 0; node < inventory.size(); ++node) {
    if (inventory.free_slots(node) < gang.shape->ranks) continue;
    if (best == Inventory::kNone || inventory.free_slots(node) > inventory.free_slots(best)) {
      best = node;
    }
    if (!emptiest) break;
  }
  if (best == Inventory::kNone) return std::nullopt;
  Placed placed;
  v1::NodeShare& share = placed.shares.emplace_back();
  share.set_node(inventory.facts(best).name.value());
  share.set_ranks(gang.shape->ranks);
  const std::vector<uint32_t> free = inventory.FreeSlots(best);
  share.mutable_slots()->Add(free.begin(), free.begin() + gang.shape->ranks);
  return placed;
}

using Placer = std::function<std::optional<Placed>(const Gang&, const Inventory&)>;

struct Churn {
  double placements_per_second = 0;
  double whole_nodes = 0;  // of the free slots, the share on idle nodes, mean
};

// Jobs of 1, 2 and 8 slots come and go at about 70 % load; placing, taking and freeing are timed.
Churn RunChurn(uint32_t nodes, const Placer& place, uint64_t seed, int steps,
               bool must_fit = true) {
  const std::vector<Asks> asks = {Asks(Spec(1, 1)), Asks(Spec(2, 1)), Asks(Spec(1, 8))};
  std::mt19937_64 random(seed);
  Inventory inventory = Cluster(nodes);
  struct Running {
    JobId job;
    std::vector<v1::NodeShare> shares;
  };
  std::vector<Running> running;
  uint64_t held = 0, next = 1, samples = 0;
  double whole = 0;
  int placed = 0;
  Clock::duration busy = {};
  const auto free_one = [&] {
    const size_t at = random() % running.size();
    for (const v1::NodeShare& share : running[at].shares) {
      held -= static_cast<uint64_t>(share.slots_size());
      inventory.Free(share, running[at].job, false);
    }
    running[at] = std::move(running.back());
    running.pop_back();
  };
  const uint64_t most = inventory.slots_total() * 7 / 10;
  // Filled, and churned once, before anything is measured.
  const int warm = static_cast<int>(inventory.slots_total() * 2 / 5);
  for (int step = 0; step < warm + steps; ++step) {
    const Asks& each = asks[random() % asks.size()];
    const auto start = Clock::now();
    while (held > most) free_one();
    const JobId job(next++);
    std::optional<Placed> found = place(each.gang(job), inventory);
    if (!found && !must_fit) continue;
    CHECK(found.has_value(), "a small job finds no room at 70 % load");
    for (const v1::NodeShare& share : found->shares) inventory.Take(share, job, false);
    if (step >= warm) busy += Clock::now() - start;
    held += each.shape.slots();
    running.push_back({job, std::move(found->shares)});
    if (step < warm) continue;
    ++placed;
    if (step % 500 != 0) continue;
    uint64_t idle = 0;
    for (NodeIndex node = 0; node < nodes; ++node) idle += inventory.idle(node) ? kSlots : 0;
    whole += static_cast<double>(idle) / static_cast<double>(inventory.slots_total() - held);
    ++samples;
  }
  return {placed / Seconds(busy), whole / static_cast<double>(samples)};
}

struct Latency {
  double median_ms = 0, p99_ms = 0, max_ms = 0;
};

Latency Of(std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  return {ms[ms.size() / 2], ms[ms.size() * 99 / 100], ms.back()};
}

Latency Repeat(int times, const std::function<void()>& what) {
  std::vector<double> ms;
  for (int i = 0; i < times; ++i) {
    const auto start = Clock::now();
    what();
    ms.push_back(Seconds(Clock::now() - start) * 1e3);
  }
  return Of(std::move(ms));
}

void PrintLatency(const std::string& what, const Latency& latency, const std::string& beside) {
  fmt::print("  {:<58} median {:8.3f} ms  p99 {:8.3f}  max {:8.3f}   {}\n", what, latency.median_ms,
             latency.p99_ms, latency.max_ms, beside);
}

void SmallJobs(uint32_t nodes, int steps, const std::string& beside) {
  std::vector<double> rates;
  for (int run = 0; run < kRuns; ++run) {
    const Placer packed = [](const Gang& gang, const Inventory& inventory) {
      return Place(gang, inventory, nullptr);
    };
    rates.push_back(
        RunChurn(nodes, packed, static_cast<uint64_t>(run), steps).placements_per_second);
  }
  std::sort(rates.begin(), rates.end());
  fmt::print("  {:<58} median {:8.0f} /s  ({:.0f} to {:.0f} over {} runs)   {}\n",
             fmt::format("jobs of 1, 2, 8 slots, {} nodes × {}, place+take+free", nodes, kSlots),
             rates[kRuns / 2], rates.front(), rates.back(), kRuns, beside);
}

void LargeGang(uint32_t nodes, int times, const std::string& beside) {
  const Inventory inventory = Cluster(nodes);
  const Asks asks(Spec(nodes, kSlots));
  const std::string gpus = fmt::format("{} slots, {} nodes", nodes * kSlots, nodes);
  size_t shares = 0;
  PrintLatency(
      "one gang of " + gpus,
      Repeat(times,
             [&] { shares = Place(asks.gang(JobId(1)), inventory, nullptr)->shares.size(); }),
      beside);
  CHECK(shares == nodes, "{} shares", shares);
  Asks spread(Spec(nodes, kSlots));
  spread.spec.mutable_placement()->mutable_spread()->set_axis("data");
  spread.spec.mutable_placement()->mutable_spread()->set_across(v1::DOMAIN_RACK);
  spread.shape = ShapeOf(spread.spec);
  PrintLatency(
      "  the same, spread across racks",
      Repeat(times, [&] { CHECK(Place(spread.gang(JobId(1)), inventory, nullptr), "spread"); }),
      "");
  auto placed = Place(asks.gang(JobId(1)), inventory, nullptr);
  const google::protobuf::RepeatedPtrField<v1::NodeShare> previous(placed->shares.begin(),
                                                                   placed->shares.end());
  Gang again = asks.gang(JobId(1));
  again.previous = &previous;
  PrintLatency("  the same, back on its previous slots",
               Repeat(times, [&] { CHECK(Place(again, inventory, nullptr), "again"); }), "");
  Inventory full = inventory;
  for (const v1::NodeShare& share : placed->shares) full.Take(share, JobId(1), false);
  PrintLatency("  the same, no room (says no)",
               Repeat(times, [&] { CHECK(!Place(asks.gang(JobId(2)), full, nullptr), "full"); }),
               "");
  PrintLatency("  the same, why not, in words",
               Repeat(times, [&] { WhyNotPlaced(asks.gang(JobId(2)), full, nullptr); }), "");
  Inventory copy;
  PrintLatency("  a copy of the inventory", Repeat(times, [&] { copy = full; }), "");
}

void Memory(uint32_t nodes) {
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  const Inventory inventory = Cluster(nodes);
  const size_t all = mallinfo2().uordblks + mallinfo2().hblkhd - before;
  const Inventory copy = inventory;
  const size_t copied = mallinfo2().uordblks + mallinfo2().hblkhd - before - all;
  fmt::print("  inventory of {} nodes × {}: {} bytes a node; a copy {} bytes a node\n", nodes,
             kSlots, all / nodes, copied / nodes);
}

void Fragmentation() {
  const std::vector<std::pair<std::string, Placer>> placers = {
      {"packed", [](const Gang& gang,
                    const Inventory& inventory) { return Place(gang, inventory, nullptr); }},
      {"first node with room",
       [](const Gang& gang, const Inventory& inventory) { return Plain(gang, inventory, false); }},
      {"emptiest node",
       [](const Gang& gang, const Inventory& inventory) { return Plain(gang, inventory, true); }}};
  for (const auto& [name, placer] : placers) {
    std::vector<double> whole;
    for (uint64_t run = 0; run < kRuns; ++run) {
      whole.push_back(RunChurn(375, placer, run, 10'000, false).whole_nodes * 100);
    }
    std::sort(whole.begin(), whole.end());
    fmt::print("  {:<24} {:5.1f} % of the free slots are on idle nodes ({:.1f} to {:.1f})\n", name,
               whole[kRuns / 2], whole.front(), whole.back());
  }
}

}  // namespace

int main() {
  fmt::print("small jobs at 70 % load\n");
  SmallJobs(1'875, 50'000, "budget >= 10,000 /s; Kueue 43 workloads/s at 15,000, Slurm 500 jobs/s");
  SmallJobs(18'750, 5'000, "");
  fmt::print("large gangs\n");
  LargeGang(1'875, 500, "budget <= 50 ms");
  LargeGang(18'750, 100, "");
  fmt::print("memory\n");
  Memory(1'875);
  Memory(18'750);
  fmt::print("fragmentation, 375 nodes, jobs of 1, 2, 8 slots at 70 % load\n");
  Fragmentation();
}
