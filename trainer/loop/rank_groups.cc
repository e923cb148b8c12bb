#include "trainer/loop/rank_groups.h"

#include <utility>

#include "common/status.h"
#include "trainer/collective/noted.h"

namespace muster::trainer::loop {

absl::StatusOr<RankGroups> MakeRankGroups(const parallel::Mesh& mesh, collective::Collective& world,
                                          collective::CollectiveRing* ring) {
  if (world.size() != mesh.ranks()) {
    return InvalidArgument("mesh {} needs {} ranks, {} were started; start {} (mpirun -n {})",
                           mesh.ToString(), mesh.ranks(), world.size(), mesh.ranks(), mesh.ranks());
  }
  RankGroups groups;
  groups.world = &world;
  MUSTER_ASSIGN_OR_RETURN(groups.data, world.Split(mesh.GroupColor(world.rank(), "data")));
  groups.data = collective::Noted(std::move(groups.data), ring, MUSTER_GROUP_DATA);
  MUSTER_ASSIGN_OR_RETURN(groups.tensor, world.Split(mesh.GroupColor(world.rank(), "tensor")));
  groups.tensor = collective::Noted(std::move(groups.tensor), ring, MUSTER_GROUP_TENSOR);
  const auto data_size = static_cast<size_t>(mesh.Size("data"));
  groups.world_rank.assign(static_cast<size_t>(mesh.Size("tensor")),
                           std::vector<int>(data_size, 0));
  for (int r = 0; r < mesh.ranks(); ++r) {
    const auto tensor = static_cast<size_t>(mesh.Coordinate(r, "tensor"));
    const auto data = static_cast<size_t>(mesh.Coordinate(r, "data"));
    groups.world_rank[tensor][data] = r;
  }
  return groups;
}

}  // namespace muster::trainer::loop
