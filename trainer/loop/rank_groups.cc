#include "trainer/loop/rank_groups.h"

#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "common/status.h"
#include "trainer/collective/noted.h"

namespace muster::trainer::loop {
namespace {

constexpr char kAgreed[] = "muster/agreed";

std::string ToText(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

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

absl::Status Agree(collective::Collective& world, const absl::Status& mine) {
  std::string text;
  if (!mine.ok()) {
    text = std::string(1, static_cast<char>(mine.code())) + std::string(mine.message());
  }
  MUSTER_ASSIGN_OR_RETURN(std::vector<std::vector<std::byte>> all,
                          world.AllGatherBytes(Bytes(text)));
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].empty()) continue;
    const std::string said = ToText(all[r]);
    const auto code = static_cast<absl::StatusCode>(said[0]);
    absl::Status status(
        code, world.size() == 1 ? said.substr(1) : fmt::format("rank {}: {}", r, said.substr(1)));
    status.SetPayload(kAgreed, absl::Cord());
    return status;
  }
  return absl::OkStatus();
}

bool SaidByAll(const absl::Status& status) { return status.GetPayload(kAgreed).has_value(); }

absl::StatusOr<std::string> FromFirst(collective::Collective& world, const std::string& text) {
  uint64_t size = text.size();
  MUSTER_RETURN_IF_ERROR(world.Broadcast(std::as_writable_bytes(std::span(&size, 1)), 0));
  std::string result = world.rank() == 0 ? text : std::string(size, '\0');
  MUSTER_RETURN_IF_ERROR(
      world.Broadcast(std::as_writable_bytes(std::span(result.data(), result.size())), 0));
  return result;
}

}  // namespace muster::trainer::loop
