// Micro-batches of a prepared dataset, by global position: which rank reads one does not matter.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataset/dataset.h"

namespace muster::trainer::data {

// Marks a target that does not count (model::kNoTarget).
inline constexpr int32_t kNoTarget = -1;

struct Batch {
  std::vector<int32_t> tokens;   // [micro, context] row-major
  std::vector<int32_t> targets;  // the same; the token that follows each
  uint64_t target_bytes = 0;     // of text the targets stand for; held-out batches only
};

class Batches {
 public:
  // Errors: the dataset's; kFailedPrecondition when its training split is shorter than one sample.
  static absl::StatusOr<std::unique_ptr<Batches>> Open(const std::string& folder, int context,
                                                       int micro, uint64_t seed);

  const dataset::Dataset& dataset() const { return *dataset_; }

  // `micro` training samples from global sample number `first_sample` on.
  const Batch& Train(uint64_t first_sample);

  // Held-out windows in use when at most `samples` are wanted, and the batches they fill.
  uint64_t HeldOutWindows(uint64_t samples) const;
  uint64_t HeldOutBatches(uint64_t samples) const;

  // Held-out batch `index` of HeldOutBatches(samples). Rows beyond the last window have no targets.
  const Batch& HeldOut(uint64_t index, uint64_t samples);

 private:
  Batches(std::unique_ptr<dataset::Dataset> dataset, int context, int micro, uint64_t seed);
  void PutRow(size_t row);

  std::unique_ptr<dataset::Dataset> dataset_;
  const size_t context_;
  const size_t micro_;
  const uint64_t seed_;
  std::vector<int32_t> window_;  // context + 1 tokens
  Batch batch_;
};

}  // namespace muster::trainer::data
