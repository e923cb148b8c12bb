#include "coordinator/scheduler/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace muster::coordinator::scheduler {
namespace {

// Saturates: a mesh too large for any cluster stays too large.
uint32_t Times(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(std::min<uint64_t>(uint64_t{a} * b, UINT32_MAX));
}

// The outermost axis that asks for `domain`, and the ranks from it inwards.
void FindBlock(const v1::JobSpec& spec, v1::Domain domain, uint32_t& block, std::string& axis) {
  bool found = false;
  for (const v1::Axis& each : spec.mesh()) {
    if (!found && each.within() == domain) {
      found = true;
      axis = each.name();
    }
    if (found) block = Times(block, std::max(1u, each.size()));
  }
}

std::string Quoted(const std::string& text) { return fmt::format("{}:{}", text.size(), text); }

}  // namespace

uint32_t Shape::SparesFor(size_t nodes) const {
  const double part = std::ceil(spare_share * static_cast<double>(nodes) - 1e-9);
  return std::max(spares, static_cast<uint32_t>(std::clamp(part, 0.0, 1e9)));
}

Shape ShapeOf(const v1::JobSpec& spec) {
  Shape shape;
  shape.slots_per_rank = std::max(1u, spec.resources().slots_per_rank());
  for (const v1::Axis& axis : spec.mesh()) {
    shape.ranks = Times(shape.ranks, std::max(1u, axis.size()));
  }
  FindBlock(spec, v1::DOMAIN_NODE, shape.node_block, shape.node_axis);
  FindBlock(spec, v1::DOMAIN_NVLINK, shape.nvlink_block, shape.nvlink_axis);
  FindBlock(spec, v1::DOMAIN_RACK, shape.rack_block, shape.rack_axis);
  FindBlock(spec, v1::DOMAIN_POD, shape.pod_block, shape.pod_axis);
  shape.exclusive = spec.resources().exclusive();
  const v1::SpreadSpec& spread = spec.placement().spread();
  if (spread.across() != v1::DOMAIN_UNSPECIFIED) {
    uint32_t parts = 1;
    for (const v1::Axis& axis : spec.mesh()) {
      parts = Times(parts, std::max(1u, axis.size()));
      if (axis.name() != spread.axis()) continue;
      shape.spread_parts = parts;
      shape.spread_across = spread.across();
      shape.spread_at_least = spread.at_least();
      shape.spread_axis = axis.name();
      break;
    }
  }
  shape.spares = spec.recovery().hot_spares();
  shape.spare_share = spec.recovery().spare_share();
  shape.lend_spares = spec.recovery().lend_spares();
  return shape;
}

std::string PlacementClass(const v1::JobSpec& spec) {
  const Shape shape = ShapeOf(spec);
  std::string text = fmt::format(
      "{}x{} {} {} {} {} {} {}/{}/{} {}", shape.ranks, shape.slots_per_rank, shape.node_block,
      shape.nvlink_block, shape.rack_block, shape.pod_block, shape.exclusive, shape.spread_parts,
      static_cast<int>(shape.spread_across), shape.spread_at_least,
      !spec.schedule().has_preemptible() || spec.schedule().preemptible());
  text += " " + Quoted(spec.resources().device());
  for (const v1::Label& label : spec.placement().select()) {
    text += " s" + Quoted(label.name()) + "=" + Quoted(label.value());
  }
  for (const std::string& nodes : spec.placement().exclude()) text += " x" + Quoted(nodes);
  for (const std::string& taint : spec.placement().tolerate()) text += " t" + Quoted(taint);
  return text;
}

}  // namespace muster::coordinator::scheduler
