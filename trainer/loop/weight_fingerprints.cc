#include "trainer/loop/weight_fingerprints.h"

#include <fmt/ranges.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "checkpoint/fingerprint.h"
#include "common/status.h"

namespace muster::trainer::loop {
namespace {

constexpr const char* kKey = "fingerprints";
constexpr size_t kNamesMax = 3;

checkpoint::Box LocalBox(const parallel::Parameter& parameter) {
  checkpoint::Box box;
  box.tensor = parameter.name;
  box.dtype = checkpoint::DType::kF32;
  box.shape.assign(parameter.global_shape.begin(), parameter.global_shape.end());
  box.extent.assign(parameter.local_shape.begin(), parameter.local_shape.end());
  box.offset.assign(box.shape.size(), 0);
  if (!parameter.replicated()) {
    box.offset[static_cast<size_t>(parameter.split_dim)] =
        static_cast<uint64_t>(parameter.split_offset);
  }
  return box;
}

}  // namespace

std::vector<uint64_t> LocalFingerprints(const parallel::ParameterTable& table,
                                        std::span<const float> params) {
  std::vector<uint64_t> out;
  out.reserve(table.parameters.size());
  for (const parallel::Parameter& parameter : table.parameters) {
    out.push_back(checkpoint::Fingerprint(
        LocalBox(parameter), std::as_bytes(params.subspan(parameter.begin, parameter.count))));
  }
  return out;
}

absl::StatusOr<Fingerprints> WholeFingerprints(const parallel::ParameterTable& table,
                                               const std::vector<uint64_t>& local,
                                               const RankGroups& groups) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          groups.tensor->AllGatherBytes(std::as_bytes(std::span(local))));
  Fingerprints whole;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].size() != local.size() * sizeof(uint64_t)) {
      return Internal("fingerprints: rank {} of the tensor group sent {} bytes, {} were expected",
                      rank, all[rank].size(), local.size() * sizeof(uint64_t));
    }
    for (size_t i = 0; i < local.size(); ++i) {
      const parallel::Parameter& parameter = table.parameters[i];
      if (parameter.replicated() && rank > 0) continue;
      uint64_t part = 0;
      std::memcpy(&part, all[rank].data() + i * sizeof(part), sizeof(part));
      whole[parameter.name] += part;
    }
  }
  return whole;
}

std::string WithFingerprints(const std::string& extra_json, const Fingerprints& fingerprints) {
  nlohmann::json extra = nlohmann::json::parse(extra_json, nullptr, false);
  if (!extra.is_object()) extra = nlohmann::json::object();
  nlohmann::json& list = extra[kKey] = nlohmann::json::object();
  for (const auto& [name, value] : fingerprints) list[name] = fmt::format("{:016x}", value);
  return extra.dump();
}

absl::Status CheckFingerprints(const std::string& extra_json, const Fingerprints& loaded) {
  const nlohmann::json extra = nlohmann::json::parse(extra_json, nullptr, false);
  if (!extra.is_object() || !extra.contains(kKey)) return absl::OkStatus();
  const nlohmann::json& saved = extra[kKey];
  std::vector<std::string> wrong;
  size_t count = 0;
  for (const auto& [name, value] : loaded) {
    const auto found = saved.find(name);
    if (found != saved.end() && *found == fmt::format("{:016x}", value)) continue;
    if (++count <= kNamesMax) wrong.push_back(name);
  }
  if (count == 0) return absl::OkStatus();
  return DataLoss("{} {} not what was saved, by the fingerprint of the live weights ({}{})", count,
                  count == 1 ? "parameter is" : "parameters are", fmt::join(wrong, ", "),
                  count > kNamesMax ? ", ..." : "");
}

}  // namespace muster::trainer::loop
