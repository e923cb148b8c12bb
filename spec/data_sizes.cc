#include "spec/data_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace muster::spec {
namespace {

const v1::Axis* DataAxis(const v1::JobSpec& spec) {
  for (const v1::Axis& axis : spec.mesh()) {
    if (axis.name() == "data") return &axis;
  }
  return nullptr;
}

// Each data rank does the same number of micro-batches; with `layout` a power of two of them, so
// that the sums are taken in the same order whoever computed them.
bool KeepsBatch(const v1::TrainSpec& train, uint32_t size) {
  const uint64_t together = uint64_t{size} * train.batch().micro();
  if (together == 0 || train.batch().global() % together != 0) return false;
  return size == 1 || train.reproducible() != v1::REPRODUCIBLE_LAYOUT ||
         std::has_single_bit(train.batch().global() / together);
}

std::string ListText(const std::vector<uint32_t>& sizes) {
  constexpr size_t kNamed = 8;
  std::string text;
  for (size_t i = 0; i < sizes.size() && i < kNamed; ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", sizes[i]);
  }
  if (sizes.size() > kNamed) text += fmt::format(" … {}", sizes.back());
  return text;
}

std::vector<uint32_t> SizesFrom(const v1::JobSpec& spec, uint32_t most, uint32_t least) {
  constexpr uint32_t kSizeMax = 1'000'000;
  std::vector<uint32_t> sizes;
  for (uint32_t size = std::min(most, kSizeMax); size >= least && size > 0; --size) {
    if (!spec.has_train() || KeepsBatch(spec.train(), size)) sizes.push_back(size);
  }
  return sizes;
}

}  // namespace

std::vector<uint32_t> UsableDataSizes(const v1::JobSpec& spec) {
  const v1::Axis* data = DataAxis(spec);
  if (data == nullptr || data->size() == 0) return {};
  std::vector<uint32_t> sizes = {data->size()};
  if (data->min() == 0 || data->min() >= data->size()) return sizes;
  for (const uint32_t size : SizesFrom(spec, data->size() - 1, data->min())) {
    sizes.push_back(size);
  }
  return sizes;
}

std::string DataSizesText(const v1::JobSpec& spec) {
  std::vector<uint32_t> sizes = UsableDataSizes(spec);
  if (sizes.size() < 2) return "";
  const uint32_t full = sizes.front();
  sizes.erase(sizes.begin());
  return fmt::format("data {}, after failures {}", full, ListText(sizes));
}

v1::JobSpec WithDataSize(const v1::JobSpec& spec, uint32_t size) {
  v1::JobSpec other = spec;
  for (v1::Axis& axis : *other.mutable_mesh()) {
    if (axis.name() == "data") axis.set_size(size);
  }
  return other;
}

void FindMinProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  for (const v1::Axis& axis : spec.mesh()) {
    if (axis.min() == 0) continue;
    const std::string field = "mesh." + axis.name() + ".min";
    if (axis.name() != "data") {
      problems->push_back({field, "only the axis data gets shorter; remove it"});
    } else if (axis.min() > axis.size()) {
      problems->push_back({field, fmt::format("{} is more than the size {}; give 1 to {}",
                                              axis.min(), axis.size(), axis.size())});
    } else if (spec.has_train() && axis.min() < axis.size() &&
               !KeepsBatch(spec.train(), axis.min())) {
      const std::vector<uint32_t> usable = SizesFrom(spec, axis.size(), 1);
      problems->push_back(
          {field,
           fmt::format(
               "{} data ranks cannot share train.batch.global {} in {}micro-batches "
               "of {}; usable sizes: {}",
               axis.min(), spec.train().batch().global(),
               spec.train().reproducible() == v1::REPRODUCIBLE_LAYOUT ? "a power of two of " : "",
               spec.train().batch().micro(), usable.empty() ? "none" : ListText(usable))});
    }
  }
}

}  // namespace muster::spec
