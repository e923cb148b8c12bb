#include "sim/replay/recovery_costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "common/duration.h"
#include "common/status.h"
#include "spec/yaml_tree.h"

namespace muster::sim::replay {
namespace {

struct Key {
  const char* path;
  Micros RecoveryCosts::*span = nullptr;
  double RecoveryCosts::*bytes = nullptr;
  bool per_second = false;
};

Key Span(const char* path, Micros RecoveryCosts::*member) { return {path, member, nullptr, false}; }
Key Bytes(const char* path, double RecoveryCosts::*member, bool per_second) {
  return {path, nullptr, member, per_second};
}

const std::vector<Key>& Keys() {
  static const std::vector<Key> keys = {
      Span("detect.rank_dies", &RecoveryCosts::detect_rank_dies),
      Span("detect.node_gone", &RecoveryCosts::detect_node_gone),
      Span("detect.hang", &RecoveryCosts::detect_hang),
      Span("orders.all", &RecoveryCosts::orders_all),
      Span("stop.kill", &RecoveryCosts::stop_kill),
      Span("stop.graceful", &RecoveryCosts::stop_graceful),
      Span("start.spawn", &RecoveryCosts::start_spawn),
      Span("start.program", &RecoveryCosts::start_program),
      Bytes("checkpoint.bytes_per_node", &RecoveryCosts::bytes_per_node, false),
      Bytes("checkpoint.write", &RecoveryCosts::write, true),
      Bytes("checkpoint.read", &RecoveryCosts::read, true),
      Bytes("checkpoint.storage_total", &RecoveryCosts::storage_total, true),
      Bytes("checkpoint.copy", &RecoveryCosts::copy, true),
      Span("checkpoint.commit", &RecoveryCosts::commit),
      Span("step", &RecoveryCosts::step),
      Span("reboot", &RecoveryCosts::reboot),
      Span("stock.collective_timeout", &RecoveryCosts::stock_timeout),
      Span("stock.requeue", &RecoveryCosts::stock_requeue),
      Span("stock.interval", &RecoveryCosts::stock_interval),
  };
  return keys;
}

absl::StatusOr<Micros> SpanOf(const std::string& text) {
  MUSTER_ASSIGN_OR_RETURN(const absl::Duration span, DurationFromText(text));
  return absl::ToInt64Microseconds(span);
}

absl::Status SetKey(const std::string& path, const std::string& text, RecoveryCosts& costs) {
  for (const Key& key : Keys()) {
    if (path != key.path) continue;
    if (key.span != nullptr) {
      MUSTER_ASSIGN_OR_RETURN(costs.*key.span, SpanOf(text));
    } else {
      MUSTER_ASSIGN_OR_RETURN(costs.*key.bytes, BytesFromText(text, key.per_second));
    }
    return absl::OkStatus();
  }
  if (path == "orders.nodes") {
    costs.orders_nodes = std::atoll(text.c_str());
    if (costs.orders_nodes > 0) return absl::OkStatus();
    return InvalidArgument("orders.nodes is a number of nodes, more than 0");
  }
  if (path == "checkpoint.hidden") {
    costs.hidden = text == "yes" || text == "true";
    if (costs.hidden || text == "no" || text == "false") return absl::OkStatus();
    return InvalidArgument("checkpoint.hidden is yes or no");
  }
  if (path == "checkpoint.interval") {
    costs.interval = 0;
    if (text == "auto") return absl::OkStatus();
    MUSTER_ASSIGN_OR_RETURN(costs.interval, SpanOf(text));
    return absl::OkStatus();
  }
  return InvalidArgument("there is no cost \"{}\"; configs/recovery-costs.yaml has them all", path);
}

absl::Status Take(const spec::YamlNode& node, const std::string& path, const std::string& name,
                  RecoveryCosts& costs) {
  for (const spec::YamlNode::Entry& entry : node.map) {
    const std::string here = path.empty() ? entry.key : path + "." + entry.key;
    if (entry.value.kind == spec::YamlNode::Kind::kMap) {
      MUSTER_RETURN_IF_ERROR(Take(entry.value, here, name, costs));
      continue;
    }
    const absl::Status set =
        entry.value.kind == spec::YamlNode::Kind::kScalar
            ? SetKey(here, entry.value.text, costs)
            : InvalidArgument("{} needs one value, not {}", here, spec::Describe(entry.value));
    if (!set.ok()) {
      return InvalidArgument("read recovery costs: {}:{}: {}", name, entry.line,
                             std::string(set.message()));
    }
  }
  return absl::OkStatus();
}

Micros Seconds(double seconds) { return static_cast<Micros>(seconds * kSecond); }

}  // namespace

absl::StatusOr<double> BytesFromText(const std::string& text, bool per_second) {
  static constexpr std::array<std::pair<const char*, double>, 5> kUnits = {
      {{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}};
  std::string rest = text;
  bool fine = true;
  if (per_second) {
    fine = rest.size() > 2 && rest.substr(rest.size() - 2) == "/s";
    if (fine) rest.resize(rest.size() - 2);
  }
  for (const auto& [unit, factor] : kUnits) {
    const size_t length = std::string(unit).size();
    if (!fine || rest.size() <= length || rest.substr(rest.size() - length) != unit) continue;
    const std::string number = rest.substr(0, rest.size() - length);
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (*end == '\0' && value > 0 && value < 1e9) return value * factor;
    break;
  }
  return InvalidArgument("\"{:.40}\" is not {}; write {}", text, per_second ? "a speed" : "a size",
                         per_second ? "1.5GB/s" : "2.6GB");
}

Micros RecoveryCosts::Detect(FaultKind kind) const {
  switch (kind) {
    case FaultKind::kRankDies:
      return detect_rank_dies;
    case FaultKind::kNodeGone:
      return detect_node_gone;
    case FaultKind::kHang:
      break;
  }
  return detect_hang;
}

Micros RecoveryCosts::Tell(size_t nodes) const {
  return orders_all * static_cast<Micros>(nodes) / std::max<Micros>(1, orders_nodes);
}

Micros RecoveryCosts::Write(size_t nodes) const {
  const double all = storage_total / static_cast<double>(std::max<size_t>(1, nodes));
  return Seconds(bytes_per_node / std::min(write, all));
}

Micros RecoveryCosts::Read(size_t nodes) const {
  const double all = storage_total / static_cast<double>(std::max<size_t>(1, nodes));
  return Seconds(bytes_per_node / std::min(read, all));
}

Micros RecoveryCosts::Copy() const { return Seconds(bytes_per_node / copy); }

Micros YoungDaly(Micros stall, Micros between_failures) {
  return static_cast<Micros>(std::sqrt(2.0 * static_cast<double>(std::max<Micros>(0, stall)) *
                                       static_cast<double>(std::max<Micros>(0, between_failures))));
}

absl::StatusOr<RecoveryCosts> ParseRecoveryCosts(const std::string& text, const std::string& name) {
  MUSTER_ASSIGN_OR_RETURN(const spec::YamlNode root, spec::ReadYaml(text, name));
  RecoveryCosts costs;
  if (root.kind == spec::YamlNode::Kind::kNull) return costs;
  if (root.kind != spec::YamlNode::Kind::kMap) {
    return InvalidArgument("read recovery costs: {}:{}: holds {} where keys are expected", name,
                           root.line, spec::Describe(root));
  }
  MUSTER_RETURN_IF_ERROR(Take(root, "", name, costs));
  if (costs.step <= 0) {
    return InvalidArgument("read recovery costs: {}: step must be more than 0", name);
  }
  return costs;
}

absl::StatusOr<RecoveryCosts> ReadRecoveryCosts(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return NotFound(
        "read recovery costs {}: no such file; configs/recovery-costs.yaml of the sources is one, "
        "name yours with --costs",
        path);
  }
  std::ostringstream text;
  text << file.rdbuf();
  return ParseRecoveryCosts(text.str(), path);
}

}  // namespace muster::sim::replay
