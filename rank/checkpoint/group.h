// The other ranks, as the checkpoint engine knows them: who gives it to the engine says how bytes
// get from one to the other.
//
// Every operation is called by all ranks of the group, in the same order.
//
// Memory:  buffers belong to the caller.
// Threads: one thread per rank.
// Errors:  a broken peer is kUnavailable or never returns; whoever watches the ranks ends such a
//          one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::rank {

class Group {
 public:
  virtual ~Group() = default;

  virtual int rank() const = 0;  // in this group
  virtual int size() const = 0;
  bool first() const { return rank() == 0; }

  virtual absl::Status Broadcast(std::span<std::byte> data, int root) = 0;

  // Blobs of any length, by rank.
  virtual absl::StatusOr<std::vector<std::vector<std::byte>>> AllGatherBytes(
      std::span<const std::byte> data) = 0;

  // to[r] goes to rank r, of any length; gets what each rank sent here, by rank. Nothing is sent
  // for an empty one but its length. CHECKs that there is one for every rank.
  virtual absl::StatusOr<std::vector<std::vector<std::byte>>> AllToAllBytes(
      const std::vector<std::vector<std::byte>>& to) = 0;
};

}  // namespace muster::rank
