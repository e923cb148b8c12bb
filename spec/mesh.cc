#include "spec/mesh.h"

#include <fmt/format.h>

#include <algorithm>

namespace muster::spec {
namespace {

constexpr uint64_t kSaturated = 0xffffffffu;

uint64_t TimesSaturating(uint64_t product, uint32_t size) {
  return std::min(kSaturated, product * size);  // both below 2^32: no overflow
}

}  // namespace

uint64_t RankCount(const v1::JobSpec& spec) {
  uint64_t ranks = 1;
  for (const v1::Axis& axis : spec.mesh()) ranks = TimesSaturating(ranks, axis.size());
  return ranks;
}

uint32_t AxisSize(const v1::JobSpec& spec, const std::string& name) {
  for (const v1::Axis& axis : spec.mesh()) {
    if (axis.name() == name) return axis.size();
  }
  return 1;
}

std::string MeshText(const v1::JobSpec& spec) {
  std::string text;
  for (const v1::Axis& axis : spec.mesh()) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", axis.name(), axis.size());
  }
  return text;
}

uint64_t RanksPerGroup(const v1::JobSpec& spec, v1::Domain domain) {
  uint64_t ranks = 1;
  bool inside = false;
  for (const v1::Axis& axis : spec.mesh()) {
    inside = inside || axis.within() == domain;
    if (inside) ranks = TimesSaturating(ranks, axis.size());
  }
  return ranks;
}

}  // namespace muster::spec
