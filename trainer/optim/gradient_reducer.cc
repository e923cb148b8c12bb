#include "trainer/optim/gradient_reducer.h"

#include <bit>

#include "common/check.h"
#include "common/status.h"
#include "trainer/kernels/cpu/vector_ops.h"

namespace muster::trainer::optim {

using parallel::Interval;

namespace {

std::span<float> Part(std::span<float> all, Interval interval) {
  return all.subspan(interval.begin, interval.count());
}

}  // namespace

absl::StatusOr<std::unique_ptr<GradientReducer>> GradientReducer::Create(
    const parallel::ParameterTable& table, const ShardPlan& plan, collective::Collective& data,
    Reproducible reproducible, int micro_batches, bool gather) {
  CHECK(micro_batches > 0, "{} micro-batches", micro_batches);
  if (reproducible == Reproducible::kLayout && data.size() > 1 &&
      !std::has_single_bit(static_cast<unsigned>(micro_batches))) {
    return InvalidArgument(
        "train.reproducible: layout with mesh.data {} needs a power of two of micro-batches per "
        "rank, and train.batch gives {}; change train.batch.global or train.batch.micro, or use "
        "reproducible: run",
        data.size(), micro_batches);
  }
  return std::unique_ptr<GradientReducer>(
      new GradientReducer(table, plan, data, reproducible, micro_batches, gather));
}

GradientReducer::GradientReducer(const parallel::ParameterTable& table, const ShardPlan& plan,
                                 collective::Collective& data, Reproducible reproducible,
                                 int micro_batches, bool gather)
    : table_(table),
      plan_(plan),
      data_(data),
      reproducible_(reproducible),
      micro_batches_(micro_batches),
      gather_(gather),
      own_(Pack(plan.OwnIntervals())) {
  // A binary counter over n leaves holds at most bit_width(n - 1) subtrees beside the new leaf.
  const int waiting =
      reproducible == Reproducible::kRun
          ? 0
          : static_cast<int>(std::bit_width(static_cast<unsigned>(micro_batches - 1)));
  for (int i = 0; i <= waiting; ++i) stack_.emplace_back(table.size);
  if (data.size() > 1) shard_ = kernels::cpu::AlignedFloats(own_.size);
}

GradientReducer::Target GradientReducer::Begin(int micro_batch) {
  CHECK(micro_batch >= 0 && micro_batch < micro_batches_, "micro-batch {} of {}", micro_batch,
        micro_batches_);
  last_ = micro_batch == micro_batches_ - 1;
  if (reproducible_ == Reproducible::kRun) {
    depth_ = 0;
    merges_ = 0;
    return {stack_[0].span(), micro_batch > 0};
  }
  // Full buffers: one subtree per set bit of micro_batch. The new leaf joins as many as the number
  // ends in ones; the last leaf joins all, which passes odd ones up as the tree wants it.
  depth_ = static_cast<size_t>(std::popcount(static_cast<unsigned>(micro_batch)));
  merges_ = last_ ? static_cast<int>(depth_) : std::countr_one(static_cast<unsigned>(micro_batch));
  return {stack_[depth_].span(), false};
}

void GradientReducer::Merge(Interval bucket) {
  for (int k = 0; k < merges_; ++k) {
    const size_t upper = depth_ - static_cast<size_t>(k);
    std::span<float> into = Part(stack_[upper - 1].span(), bucket);
    kernels::cpu::Add(into.data(), Part(stack_[upper].span(), bucket).data(), into.data(),
                      bucket.count());
  }
}

absl::Status GradientReducer::OnReady(int bucket) {
  const auto b = static_cast<size_t>(bucket);
  const Interval interval = table_.buckets[b];
  Merge(interval);
  if (data_.size() == 1) return absl::OkStatus();
  if (!last_) return data_.Progress();
  const std::vector<size_t> counts = plan_.Counts(b);
  MUSTER_ASSIGN_OR_RETURN(
      std::unique_ptr<collective::Pending> pending,
      data_.StartReduceScatter(Part(stack_[0].span(), interval),
                               shard_.span().subspan(own_.offsets[b], own_.intervals[b].count()),
                               counts));
  pending_.push_back(std::move(pending));
  return data_.Progress();
}

absl::Status GradientReducer::Finish() {
  CHECK(last_, "Finish before the last micro-batch");
  for (auto& pending : pending_) MUSTER_RETURN_IF_ERROR(pending->Wait());
  pending_.clear();
  if (!gather_ || data_.size() == 1) return absl::OkStatus();
  for (size_t b = 0; b < table_.buckets.size(); ++b) {
    const std::vector<size_t> counts = plan_.Counts(b);
    MUSTER_ASSIGN_OR_RETURN(
        std::unique_ptr<collective::Pending> pending,
        data_.StartAllGather(Share(b), Part(stack_[0].span(), table_.buckets[b]), counts));
    pending_.push_back(std::move(pending));
  }
  for (auto& pending : pending_) MUSTER_RETURN_IF_ERROR(pending->Wait());
  pending_.clear();
  return absl::OkStatus();
}

std::span<const float> GradientReducer::Share(size_t bucket) const {
  if (data_.size() == 1) return Whole(bucket);
  return shard_.span().subspan(own_.offsets[bucket], own_.intervals[bucket].count());
}

std::span<const float> GradientReducer::Whole(size_t bucket) const {
  CHECK(gather_ || data_.size() == 1, "the whole bucket was not gathered");
  return Part(stack_[0].span(), table_.buckets[bucket]);
}

}  // namespace muster::trainer::optim
