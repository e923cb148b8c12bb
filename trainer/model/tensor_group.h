// The tensor-parallel group as the model uses it. All ranks of the group call the same things in
// the same order. In a group of one nothing is called and nothing is copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "trainer/collective/collective.h"

namespace muster::trainer::model {

class TensorGroup {
 public:
  // null: a group of one.
  explicit TensorGroup(collective::Collective* collective) : collective_(collective) {}

  int rank() const { return collective_ == nullptr ? 0 : collective_->rank(); }
  int size() const { return collective_ == nullptr ? 1 : collective_->size(); }

  // `all` is equal parts, one a rank; each has filled its own part, afterwards everyone has all.
  absl::Status Gather(std::span<float> all);

  // `part` becomes this rank's part of the sum of everyone's `all`. In a group of one they are the
  // same memory.
  absl::Status SumAndScatter(std::span<const float> all, std::span<float> part);

  absl::Status Sum(std::span<float> data);
  absl::Status Max(std::span<float> data);

 private:
  std::vector<size_t> EqualParts(size_t count) const;

  collective::Collective* collective_;
};

}  // namespace muster::trainer::model
