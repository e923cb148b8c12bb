#include "trainer/loop/evaluation.h"

#include <cstring>
#include <numbers>
#include <vector>

#include "common/check.h"
#include "common/status.h"

namespace muster::trainer::loop {
namespace {

struct BatchLoss {
  double nats = 0;
  uint64_t bytes = 0;
};

}  // namespace

absl::StatusOr<double> BitsPerByte(model::Model& model, std::span<const float> params,
                                   data::Batches& batches, uint64_t samples, RankGroups& groups) {
  const uint64_t count = batches.HeldOutBatches(samples);
  const auto ranks = static_cast<uint64_t>(groups.data->size());
  const auto rank = static_cast<uint64_t>(groups.data->rank());
  std::vector<BatchLoss> mine;
  for (uint64_t i = count * rank / ranks; i < count * (rank + 1) / ranks; ++i) {
    const data::Batch& batch = batches.HeldOut(i, samples);
    MUSTER_ASSIGN_OR_RETURN(model::TokenLoss loss,
                            model.Forward(params, batch.tokens, batch.targets));
    mine.push_back({loss.sum, batch.target_bytes});
  }
  MUSTER_ASSIGN_OR_RETURN(std::vector<std::vector<std::byte>> all,
                          groups.data->AllGatherBytes(std::as_bytes(std::span(mine))));
  BatchLoss total;
  for (const std::vector<std::byte>& bytes : all) {
    CHECK(bytes.size() % sizeof(BatchLoss) == 0, "an evaluation of {} bytes", bytes.size());
    std::vector<BatchLoss> losses(bytes.size() / sizeof(BatchLoss));
    if (!losses.empty()) std::memcpy(losses.data(), bytes.data(), bytes.size());
    for (const BatchLoss& loss : losses) {
      total.nats += loss.nats;
      total.bytes += loss.bytes;
    }
  }
  if (total.bytes == 0) return 0.0;
  return total.nats / (std::numbers::ln2 * static_cast<double>(total.bytes));
}

}  // namespace muster::trainer::loop
