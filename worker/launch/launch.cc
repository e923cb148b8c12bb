#include "worker/launch/launch.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/hostlist.h"
#include "common/status.h"

namespace muster::worker::launch {
namespace {

constexpr uint32_t kNodesMax = 1'000'000;

}  // namespace

uint32_t Launch::NodeOf(uint32_t rank) const {
  CHECK(rank < world_size, "rank {} of an attempt of {}", rank, world_size);
  const auto after =
      std::upper_bound(nodes.begin(), nodes.end(), rank,
                       [](uint32_t r, const LaunchNode& node) { return r < node.first_rank; });
  return static_cast<uint32_t>(after - nodes.begin()) - 1;
}

absl::StatusOr<Launch> OpenOrder(v1::ShimOrder order) {
  Launch launch;
  launch.order = std::move(order);
  const v1::StartRanks& start = launch.order.start();
  const std::string what =
      fmt::format("order for attempt {} of job {}", start.attempt(), start.job_id());
  if (!launch.gang.ParseFromString(start.gang())) {
    return InvalidArgument(
        "{}: its gang cannot be read; muster-worker writes it, of the same "
        "release",
        what);
  }
  for (const v1::NodeRun& run : launch.gang.nodes()) {
    std::string name = run.name();
    for (uint32_t i = 0; i < run.nodes() && launch.nodes.size() < kNodesMax; ++i) {
      launch.nodes.push_back({name, launch.world_size, run.ranks()});
      launch.world_size += run.ranks();
      name = NextName(name);
    }
  }
  const v1::NodeShare& share = start.share();
  if (share.ranks() == 0 || share.node() != launch.order.node()) {
    return InvalidArgument("{}: no rank of the attempt is on node \"{}\"", what,
                           launch.order.node());
  }
  const bool agrees = start.node_index() < launch.nodes.size() &&
                      launch.world_size == start.world_size() &&
                      launch.nodes[start.node_index()].name == share.node() &&
                      launch.nodes[start.node_index()].first_rank == share.first_rank() &&
                      launch.nodes[start.node_index()].ranks == share.ranks();
  if (!agrees) {
    return InvalidArgument("{}: its share of node {} and its table of {} ranks do not agree", what,
                           share.node(), launch.world_size);
  }
  return launch;
}

}  // namespace muster::worker::launch
