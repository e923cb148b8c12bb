// The Group of a program that gave its own exchange of bytes (rank/muster_checkpoint.h).
//
// A broadcast goes out in parts, one to each rank, which all gather then: no rank sends more than
// twice the data. Blobs of unlike lengths are gathered padded to the longest.
//
// Threads: the rank's one.
// Errors:  kUnavailable: the program's function failed.
#pragma once

#include "rank/checkpoint/group.h"
#include "rank/muster_checkpoint.h"

namespace muster::rank {

class GivenGroup : public Group {
 public:
  // A group of one rank alone.
  GivenGroup() { given_.size = 1; }
  explicit GivenGroup(const muster_checkpoint_group& given) : given_(given) {}

  int rank() const override { return static_cast<int>(given_.rank); }
  int size() const override { return static_cast<int>(given_.size); }
  absl::Status Broadcast(std::span<std::byte> data, int root) override;
  absl::StatusOr<std::vector<std::vector<std::byte>>> AllGatherBytes(
      std::span<const std::byte> data) override;
  absl::StatusOr<std::vector<std::vector<std::byte>>> AllToAllBytes(
      const std::vector<std::vector<std::byte>>& to) override;

 private:
  absl::StatusOr<std::vector<std::byte>> AllGather(std::span<const std::byte> mine);
  absl::Status AllToAll(const std::vector<std::byte>& send, const std::vector<size_t>& send_bytes,
                        std::vector<std::byte>* receive, const std::vector<size_t>& receive_bytes);

  muster_checkpoint_group given_ = {};
};

}  // namespace muster::rank
