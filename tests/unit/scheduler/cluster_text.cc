#include "cluster_text.h"

#include <map>
#include <sstream>

#include "common/check.h"

namespace muster::coordinator::scheduler {
namespace {

std::vector<std::string> Split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

// "key=value" words; a word alone has the value "1".
std::map<std::string, std::string> Words(const std::vector<std::string>& words) {
  std::map<std::string, std::string> values;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    values[word.substr(0, equals)] = equals == std::string::npos ? "1" : word.substr(equals + 1);
  }
  return values;
}

uint32_t Number(const std::string& text) { return static_cast<uint32_t>(std::stoul(text)); }

v1::Domain DomainOf(const std::string& word) {
  if (word == "node") return v1::DOMAIN_NODE;
  if (word == "nvlink") return v1::DOMAIN_NVLINK;
  if (word == "rack") return v1::DOMAIN_RACK;
  CHECK(word == "pod", "domain {}", word);
  return v1::DOMAIN_POD;
}

v1::Label LabelOf(const std::string& text) {
  v1::Label label;
  label.set_name(text.substr(0, text.find(':')));
  label.set_value(text.substr(text.find(':') + 1));
  return label;
}

}  // namespace

Inventory Cluster(const std::vector<std::string>& nodes) {
  Inventory inventory;
  for (const std::string& text : nodes) {
    std::vector<std::string> words = Split(text, ' ');
    NodeFacts facts;
    facts.name = NodeId(words.at(0));
    words.erase(words.begin());
    auto values = Words(words);
    facts.slots = Number(values.at("slots"));
    facts.location.set_nvlink(values["nvlink"]);
    facts.location.set_rack(values["rack"]);
    facts.location.set_pod(values["pod"]);
    if (values.count("label") > 0) facts.labels.push_back(LabelOf(values["label"]));
    if (values.count("taint") > 0) facts.taints.push_back(values["taint"]);
    const std::vector<std::string> kinds = Split(values["kind"], ',');
    for (uint32_t slot = 0; slot < facts.slots && !kinds.empty(); ++slot) {
      v1::Device& device = facts.devices.emplace_back();
      device.set_slot(slot);
      device.set_kind(kinds[slot % kinds.size()]);
    }
    const NodeIndex node = inventory.Set(facts);
    const bool usable = values.count("down") == 0;
    inventory.SetUsable(node, usable, usable ? "" : values["down"]);
    for (const std::string& slot : Split(values["used"], ',')) {
      inventory.Take(node, Number(slot), JobId(99));
    }
    if (values.count("exclusive_by") > 0) {
      v1::NodeShare share;
      share.set_node(facts.name.value());
      inventory.Take(share, JobId(Number(values["exclusive_by"])), true);
    }
    if (values.count("spare") > 0) {
      inventory.SetSpare(node, JobId(Number(values["spare"])), values.count("lent") > 0);
    }
  }
  return inventory;
}

v1::JobSpec Job(const std::string& text) {
  v1::JobSpec spec;
  std::vector<std::string> words = Split(text, ' ');
  for (const std::string& axis : Split(words.at(0), ',')) {
    const size_t colon = axis.find(':'), at = axis.find('@');
    v1::Axis* added = spec.add_mesh();
    added->set_name(axis.substr(0, colon));
    added->set_size(Number(axis.substr(colon + 1)));
    if (at != std::string::npos) added->set_within(DomainOf(axis.substr(at + 1)));
  }
  words.erase(words.begin());
  auto values = Words(words);
  spec.mutable_resources()->set_slots_per_rank(values.count("slots") > 0 ? Number(values["slots"])
                                                                         : 1);
  spec.mutable_resources()->set_device(values["device"]);
  spec.mutable_resources()->set_exclusive(values.count("exclusive") > 0);
  if (values.count("spread") > 0) {
    const std::vector<std::string> parts = Split(values["spread"], ':');
    v1::SpreadSpec* spread = spec.mutable_placement()->mutable_spread();
    spread->set_axis(parts.at(0));
    spread->set_across(DomainOf(parts.at(1)));
    if (parts.size() > 2) spread->set_at_least(Number(parts[2]));
  }
  if (values.count("spares") > 0) spec.mutable_recovery()->set_hot_spares(Number(values["spares"]));
  if (values.count("share") > 0)
    spec.mutable_recovery()->set_spare_share(std::stod(values["share"]));
  if (values.count("exclude") > 0) spec.mutable_placement()->add_exclude(values["exclude"]);
  if (values.count("tolerate") > 0) spec.mutable_placement()->add_tolerate(values["tolerate"]);
  if (values.count("select") > 0) {
    *spec.mutable_placement()->add_select() = LabelOf(values["select"]);
  }
  if (values.count("not_preemptible") > 0) spec.mutable_schedule()->set_preemptible(false);
  return spec;
}

AGang::AGang(const std::string& text, JobId id) : spec(Job(text)), shape(ShapeOf(spec)) {
  const bool preemptible = !spec.schedule().has_preemptible() || spec.schedule().preemptible();
  gang = Gang{id, &spec, &shape, preemptible, nullptr};
}

void AGang::WasOn(const std::vector<v1::NodeShare>& shares) {
  previous = {shares.begin(), shares.end()};
  gang.previous = &previous;
}

std::string PlacedText(const std::optional<Placed>& placed, const Inventory& inventory) {
  if (!placed) return "-";
  std::string text;
  for (const v1::NodeShare& share : placed->shares) {
    text += (text.empty() ? "" : " ") + share.node() + ":";
    for (int i = 0; i < share.slots_size(); ++i) {
      text += (i == 0 ? "" : ",") + std::to_string(share.slots(i));
    }
  }
  for (const NodeIndex node : placed->spares) text += " +" + inventory.facts(node).name.value();
  return text;
}

}  // namespace muster::coordinator::scheduler
