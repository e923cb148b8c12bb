#include <fmt/format.h>

#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/node_commands.h"
#include "cli/node_text.h"
#include "common/duration.h"
#include "common/status.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

struct NodeOptions {
  std::string node;
  std::string reason;
  bool wait = false;
  absl::Duration timeout = absl::InfiniteDuration();
};

absl::StatusOr<int> ListNodes(Session& session) {
  MUSTER_ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, session.client().ListNodes());
  if (session.machine_readable()) {
    PrintMessage(session, nodes);
  } else if (nodes.nodes().empty()) {
    fmt::print("no nodes; start a worker on one: muster-worker --coordinator HOST:PORT\n");
  } else {
    fmt::print("{}", NodeTable(nodes, absl::ToUnixMillis(absl::Now()),
                               session.format() == OutputFormat::kWide));
  }
  return kExitOk;
}

absl::StatusOr<v1::Node> FindNode(Session& session, const std::string& name) {
  MUSTER_ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, session.client().ListNodes());
  for (const v1::Node& node : nodes.nodes()) {
    if (node.name() == name) return node;
  }
  return NotFound("no node \"{}\"; see muster node list", name);
}

absl::StatusOr<v1::Node> WaitUntilDrained(Session& session, const NodeOptions& options) {
  const absl::Time until = absl::Now() + options.timeout;
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(v1::Node node, FindNode(session, options.node));
    if (node.admission() == v1::NODE_ADMISSION_DRAINED) return node;
    if (node.admission() != v1::NODE_ADMISSION_DRAINING) {
      return FailedPrecondition("somebody else set it to {} meanwhile",
                                spec::EnumWord(node.admission()));
    }
    if (absl::Now() >= until) {
      return Error(absl::StatusCode::kDeadlineExceeded, "{} slots still in use after {}",
                   node.slots_used(), DurationText(options.timeout));
    }
    absl::SleepFor(absl::Milliseconds(300));
  }
}

absl::StatusOr<int> SetAdmission(Session& session, const NodeOptions& options,
                                 const std::string& verb, v1::NodeAdmission admission) {
  const std::string what = fmt::format("{} node {}", verb, options.node);
  v1::SetNodeAdmissionRequest request;
  request.set_node(options.node);
  request.set_admission(admission);
  request.set_reason(options.reason);
  const auto response = session.client().SetNodeAdmission(request);
  if (!response.ok()) return During(what, response.status());
  v1::Node node = response->node();
  if (options.wait) {
    const auto drained = WaitUntilDrained(session, options);
    if (!drained.ok()) return During(what, drained.status());
    node = *drained;
  }
  if (session.machine_readable()) {
    PrintMessage(session, node);
  } else {
    fmt::print("node {} is {}{}{}\n", node.name(), spec::EnumWord(node.admission()),
               node.reason().empty() ? "" : ": ", Printable(node.reason()));
  }
  return kExitOk;
}

Command AdmissionCommand(Session* session, const std::string& verb, const std::string& summary,
                         const std::string& examples, v1::NodeAdmission admission) {
  auto options = std::make_shared<NodeOptions>();
  Command command;
  command.name = verb;
  command.summary = summary;
  command.examples = examples;
  command.options = {{"NODE", &options->node, "its name", true, {}},
                     {"--reason", &options->reason, "why, for whoever looks later", false, {}}};
  if (admission == v1::NODE_ADMISSION_DRAINING) {
    command.options.push_back({"--wait", &options->wait, "return when no rank is left", false, {}});
    command.options.push_back({"--timeout", &options->timeout, "of --wait (no limit)", false, {}});
  }
  command.run = [session, options, verb, admission] {
    return SetAdmission(*session, *options, verb, admission);
  };
  return command;
}

}  // namespace

Command NodeCommand(Session* session) {
  const Command list = LeafCommand("list", "Nodes with their state, slots and jobs",
                                   R"(  muster node list
  muster node list -o wide        where it sits, labels, taints, devices, address too
  muster node list -o json | jq -r '.nodes[] | select(.state != "ready") | .name')",
                                   [session] { return ListNodes(*session); });

  Command command;
  command.name = "node";
  command.summary = "Look at nodes; keep work away from them";
  command.examples = R"(  muster node list
  muster node describe n2
  muster node drain n2 --reason "new fan" --wait)";
  command.children = {
      list,
      AdmissionCommand(session, "cordon", "Place nothing new there; what runs, runs on",
                       "  muster node cordon n2 --reason \"looks slow\"",
                       v1::NODE_ADMISSION_CORDONED),
      AdmissionCommand(session, "uncordon", "Take the node back into service",
                       "  muster node uncordon n2", v1::NODE_ADMISSION_OPEN),
      AdmissionCommand(session, "drain", "Move everything away, place nothing new",
                       "  muster node drain n2 --reason \"new fan\" --wait\n"
                       "  muster node drain n2 --wait --timeout 10m     8: not within ten minutes",
                       v1::NODE_ADMISSION_DRAINING),
      AdmissionCommand(session, "undrain", "Take the node back into service",
                       "  muster node undrain n2", v1::NODE_ADMISSION_OPEN)};
  for (Command& each : QuarantineCommands(session)) command.children.push_back(std::move(each));
  return command;
}

}  // namespace muster::cli
