// One rank's place on the mesh and the groups it talks in.
//
// Threads: the rank's one. Owns: the two groups; not the world.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/collective/collective.h"
#include "trainer/collective/collective_ring.h"
#include "trainer/parallel/mesh.h"

namespace muster::trainer::loop {

struct RankGroups {
  collective::Collective* world = nullptr;
  std::unique_ptr<collective::Collective> data;    // same place on all axes but data
  std::unique_ptr<collective::Collective> tensor;  // same place on all axes but tensor
  // World rank at [tensor coordinate][data coordinate].
  std::vector<std::vector<int>> world_rank;

  bool first() const { return world->rank() == 0; }
};

// Collective over the world. The groups note what they do in the ring, if there is one, which
// outlives them; the world is taken as it is. kInvalidArgument: the world's size is not the mesh's,
// or the mesh has axes this trainer does not know.
absl::StatusOr<RankGroups> MakeRankGroups(const parallel::Mesh& mesh, collective::Collective& world,
                                          collective::CollectiveRing* ring = nullptr);

}  // namespace muster::trainer::loop
