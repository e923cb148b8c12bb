// Collectives over one group of ranks: all the trainer knows of other processes. What moves bytes
// is in rank/checkpoint/group.h.
//
// Every operation is called by all ranks of the group, in the same order. Reductions add in a
// fixed order that depends only on the group's size: the pairwise tree ((0+1)+(2+3))+…, an odd
// last one passed up unchanged. So the same inputs give the same bits, always, and a group of n
// equals any grouping of the tree into aligned halves.
//
// Memory:  float is fp32. Buffers belong to the caller; those of a started operation must stay
//          untouched until Wait. Wait must be called once for each; the order is free.
// Threads: one thread per rank. Progress happens in Progress and Wait.
// Errors:  a broken peer is kUnavailable or never returns (MPI); the worker ends such a rank.
//          Lengths that disagree between ranks are a bug: the process aborts or MPI says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rank/checkpoint/group.h"

namespace muster::trainer::collective {

// A started operation. Wait before reading its output or reusing its input.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual absl::Status Wait() = 0;
};

class Collective : public rank::Group {
 public:
  // Sum over ranks; every rank gets the same bits.
  virtual absl::Status AllReduce(std::span<float> data) = 0;
  virtual absl::Status AllReduceMax(std::span<float> data) = 0;

  // Rank r gets the sum of everyone's counts[r] floats at offset counts[0]+…+counts[r-1].
  // `in` holds sum(counts) floats, `out` counts[rank()]. `in` and `out` do not overlap.
  virtual absl::StatusOr<std::unique_ptr<Pending>> StartReduceScatter(
      std::span<const float> in, std::span<float> out, std::span<const size_t> counts) = 0;

  // Everyone gets all parts, by rank: `out` holds sum(counts) floats, `in` counts[rank()].
  // `in` may be its own place in `out`.
  virtual absl::StatusOr<std::unique_ptr<Pending>> StartAllGather(
      std::span<const float> in, std::span<float> out, std::span<const size_t> counts) = 0;

  // Moves started operations on without waiting. Call now and then during long computation.
  virtual absl::Status Progress() = 0;

  virtual absl::Status Barrier() = 0;

  // A group per color, ordered by this group's rank.
  virtual absl::StatusOr<std::unique_ptr<Collective>> Split(int color) = 0;

  // The blocking forms.
  absl::Status ReduceScatter(std::span<const float> in, std::span<float> out,
                             std::span<const size_t> counts);
  absl::Status AllGather(std::span<const float> in, std::span<float> out,
                         std::span<const size_t> counts);
};

}  // namespace muster::trainer::collective
