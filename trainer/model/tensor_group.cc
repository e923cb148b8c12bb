#include "trainer/model/tensor_group.h"

#include "common/check.h"

namespace muster::trainer::model {

std::vector<size_t> TensorGroup::EqualParts(size_t count) const {
  const size_t ranks = static_cast<size_t>(size());
  CHECK(count % ranks == 0, "{} floats over {} tensor ranks", count, ranks);
  return std::vector<size_t>(ranks, count / ranks);
}

absl::Status TensorGroup::Gather(std::span<float> all) {
  if (size() == 1) return absl::OkStatus();
  const std::vector<size_t> counts = EqualParts(all.size());
  const size_t part = counts.front();
  return collective_->AllGather(all.subspan(static_cast<size_t>(rank()) * part, part), all, counts);
}

absl::Status TensorGroup::SumAndScatter(std::span<const float> all, std::span<float> part) {
  if (size() == 1) {
    CHECK(all.data() == part.data(), "a group of one scatters in place");
    return absl::OkStatus();
  }
  return collective_->ReduceScatter(all, part, EqualParts(all.size()));
}

absl::Status TensorGroup::Sum(std::span<float> data) {
  return size() == 1 ? absl::OkStatus() : collective_->AllReduce(data);
}

absl::Status TensorGroup::Max(std::span<float> data) {
  return size() == 1 ? absl::OkStatus() : collective_->AllReduceMax(data);
}

}  // namespace muster::trainer::model
