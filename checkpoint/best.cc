#include "checkpoint/best.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "checkpoint/commit.h"

namespace muster::checkpoint {

std::optional<double> HeldOutLoss(const RunState& run) {
  const nlohmann::json extra = nlohmann::json::parse(run.extra_json, nullptr, false);
  if (!extra.is_object()) return std::nullopt;
  // The native trainer's own, or what another program has in its state text.
  const nlohmann::json* object = &extra;
  if (const auto program = extra.find("program"); program != extra.end()) object = &*program;
  if (!object->is_object()) return std::nullopt;
  const auto found = object->find("eval_bits_per_byte");
  if (found == object->end() || !found->is_number()) return std::nullopt;
  const double loss = found->get<double>();
  if (!std::isfinite(loss) || loss <= 0) return std::nullopt;
  return loss;
}

std::vector<CheckpointId> BestOf(const std::vector<const CheckpointEntry*>& entries, size_t count,
                                 FileSystem& files) {
  if (count == 0) return {};
  std::vector<std::tuple<double, CheckpointId>> measured;
  for (const CheckpointEntry* entry : entries) {
    const absl::StatusOr<Manifest> manifest = ReadManifest(entry->path, files);
    if (!manifest.ok()) continue;
    if (const std::optional<double> loss = HeldOutLoss(manifest->run)) {
      measured.emplace_back(*loss, entry->id);
    }
  }
  std::sort(measured.begin(), measured.end());
  std::vector<CheckpointId> best;
  for (size_t i = 0; i < std::min(count, measured.size()); ++i) {
    best.push_back(std::get<CheckpointId>(measured[i]));
  }
  return best;
}

}  // namespace muster::checkpoint
