#include "coordinator/scheduler/roster.h"

#include <fmt/format.h>

namespace muster::coordinator::scheduler {
namespace {

// Equal texts, equal rules about jobs. Lengths keep names with odd characters apart.
std::string KindText(const NodeFacts& facts) {
  std::string text = fmt::format("{} ", facts.slots);
  const auto add = [&text](char what, const std::string& value) {
    text += fmt::format("{}{}:{}", what, value.size(), value);
  };
  for (const v1::Label& label : facts.labels) {
    add('l', label.name());
    add('=', label.value());
  }
  for (const std::string& taint : facts.taints) add('t', taint);
  for (const v1::Device& device : facts.devices) {
    add('d', device.kind());
    text += fmt::format("@{}", device.slot());
  }
  return text;
}

}  // namespace

DomainIndex DomainNames::Intern(const std::string& stated, DomainIndex inside,
                                const std::string& its_name) {
  const auto next = static_cast<DomainIndex>(names_.size());
  if (stated.empty()) {
    const auto [found, added] = unstated_.emplace(inside, next);
    if (added) names_.push_back(its_name);
    return found->second;
  }
  const auto [found, added] = stated_.emplace(stated, next);
  if (added) names_.push_back(stated);
  return found->second;
}

void Roster::Set(NodeIndex node, const NodeFacts& new_facts) {
  if (node == facts.size()) {
    facts.emplace_back();
    kind.emplace_back();
    for (auto& of_node : domain) of_node.emplace_back();
    by_name.emplace(new_facts.name, node);
  }
  facts[node] = std::make_shared<const NodeFacts>(new_facts);
  kind[node] =
      kinds.emplace(KindText(new_facts), static_cast<uint32_t>(kinds.size())).first->second;
  const v1::Location& location = new_facts.location;
  const DomainIndex nvlink = names[kNvlink].Intern(location.nvlink(), node, new_facts.name.value());
  const DomainIndex rack =
      names[kRack].Intern(location.rack(), nvlink, names[kNvlink].name(nvlink));
  domain[kNvlink][node] = nvlink;
  domain[kRack][node] = rack;
  domain[kPod][node] = names[kPod].Intern(location.pod(), rack, names[kRack].name(rack));
}

bool SameFacts(const NodeFacts& a, const NodeFacts& b) {
  const auto same_location = a.location.rack() == b.location.rack() &&
                             a.location.pod() == b.location.pod() &&
                             a.location.nvlink() == b.location.nvlink();
  if (!same_location || a.slots != b.slots || a.devices.size() != b.devices.size()) return false;
  for (size_t i = 0; i < a.devices.size(); ++i) {
    if (a.devices[i].uuid() != b.devices[i].uuid()) return false;
  }
  return a.name == b.name && KindText(a) == KindText(b);
}

}  // namespace muster::coordinator::scheduler
