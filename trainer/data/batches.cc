#include "trainer/data/batches.h"

#include <algorithm>
#include <utility>

#include "common/status.h"

namespace muster::trainer::data {

absl::StatusOr<std::unique_ptr<Batches>> Batches::Open(const std::string& folder, int context,
                                                       int micro, uint64_t seed) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<dataset::Dataset> dataset,
                          dataset::Dataset::Open(folder));
  if (dataset->TrainWindows(static_cast<uint64_t>(context)) == 0) {
    return FailedPrecondition(
        "{}: its training split is shorter than one sample of {} tokens; prepare more text or "
        "lower train.model.context",
        folder, context);
  }
  return std::unique_ptr<Batches>(new Batches(std::move(dataset), context, micro, seed));
}

Batches::Batches(std::unique_ptr<dataset::Dataset> dataset, int context, int micro, uint64_t seed)
    : dataset_(std::move(dataset)),
      context_(static_cast<size_t>(context)),
      micro_(static_cast<size_t>(micro)),
      seed_(seed),
      window_(context_ + 1) {
  batch_.tokens.resize(micro_ * context_);
  batch_.targets.resize(micro_ * context_);
}

void Batches::PutRow(size_t row) {
  const auto place = static_cast<std::ptrdiff_t>(row * context_);
  std::copy(window_.begin(), window_.end() - 1, batch_.tokens.begin() + place);
  std::copy(window_.begin() + 1, window_.end(), batch_.targets.begin() + place);
}

const Batch& Batches::Train(uint64_t first_sample) {
  for (size_t row = 0; row < micro_; ++row) {
    dataset_->Sample(first_sample + row, seed_, window_);
    PutRow(row);
  }
  batch_.target_bytes = 0;
  return batch_;
}

uint64_t Batches::HeldOutWindows(uint64_t samples) const {
  return std::min(samples, dataset_->HeldOutWindows(context_));
}

uint64_t Batches::HeldOutBatches(uint64_t samples) const {
  return (HeldOutWindows(samples) + micro_ - 1) / micro_;
}

const Batch& Batches::HeldOut(uint64_t index, uint64_t samples) {
  const uint64_t windows = HeldOutWindows(samples);
  batch_.target_bytes = 0;
  std::fill(batch_.tokens.begin(), batch_.tokens.end(), 0);
  std::fill(batch_.targets.begin(), batch_.targets.end(), kNoTarget);
  for (size_t row = 0; row < micro_; ++row) {
    const uint64_t window = index * micro_ + row;
    if (window >= windows) break;
    batch_.target_bytes += dataset_->HeldOut(window, window_);
    PutRow(row);
  }
  return batch_;
}

}  // namespace muster::trainer::data
