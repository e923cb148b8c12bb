#include "rank/checkpoint/fingerprints.h"

#include <fmt/ranges.h>

#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "checkpoint/fingerprint.h"
#include "common/status.h"

namespace muster::rank {
namespace {

using nlohmann::json;

constexpr const char* kKey = "fingerprints";
constexpr size_t kNamesMax = 3;

// "NAME\0" and 8 bytes, for each tensor.
std::string Pack(const Fingerprints& own) {
  std::string packed;
  for (const auto& [name, value] : own) {
    packed.append(name.c_str(), name.size() + 1);
    packed.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return packed;
}

absl::Status AddPacked(const std::vector<std::byte>& bytes, Fingerprints* whole) {
  const std::string packed(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (size_t at = 0; at < packed.size();) {
    const size_t end = packed.find('\0', at);
    uint64_t value = 0;
    if (end == std::string::npos || end + 1 + sizeof(value) > packed.size()) {
      return Internal("fingerprints: a rank sent half of one");
    }
    std::memcpy(&value, packed.data() + end + 1, sizeof(value));
    (*whole)[packed.substr(at, end - at)] += value;
    at = end + 1 + sizeof(value);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Fingerprints> WholeFingerprints(const std::vector<Section>& owned, Group& group) {
  Fingerprints own;
  for (const Section& section : owned) {
    own[section.box.tensor] += checkpoint::Fingerprint(section.box, section.bytes);
  }
  const std::string packed = Pack(own);
  MUSTER_ASSIGN_OR_RETURN(
      const std::vector<std::vector<std::byte>> all,
      group.AllGatherBytes(std::as_bytes(std::span(packed.data(), packed.size()))));
  Fingerprints whole;
  for (const std::vector<std::byte>& bytes : all) MUSTER_RETURN_IF_ERROR(AddPacked(bytes, &whole));
  return whole;
}

std::string WithFingerprints(const std::string& extra_json, const Fingerprints& fingerprints) {
  json extra = json::parse(extra_json, nullptr, /*allow_exceptions=*/false);
  if (!extra.is_object()) extra = json::object();
  json& list = extra[kKey] = json::object();
  for (const auto& [name, value] : fingerprints) list[name] = fmt::format("{:016x}", value);
  return extra.dump();
}

absl::Status CheckFingerprints(const std::string& extra_json, const Fingerprints& loaded) {
  const json extra = json::parse(extra_json, nullptr, /*allow_exceptions=*/false);
  if (!extra.is_object() || !extra.contains(kKey)) return absl::OkStatus();
  const json& saved = extra[kKey];
  std::vector<std::string> wrong;
  size_t count = 0;
  for (const auto& [name, value] : loaded) {
    const auto found = saved.find(name);
    if (found == saved.end() || *found == fmt::format("{:016x}", value)) continue;
    if (++count <= kNamesMax) wrong.push_back(name);
  }
  if (count == 0) return absl::OkStatus();
  return DataLoss("{} {} not what was saved, by the fingerprint of the live memory ({}{})", count,
                  count == 1 ? "tensor is" : "tensors are", fmt::join(wrong, ", "),
                  count > kNamesMax ? ", ..." : "");
}

}  // namespace muster::rank
