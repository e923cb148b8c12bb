// muster node describe, quarantine, release, test.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "cli/exit_codes.h"
#include "cli/node_commands.h"
#include "cli/node_text.h"
#include "common/duration.h"
#include "common/status.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

struct QuarantineOptions {
  std::string node;
  std::string reason;
  absl::Duration span;
  bool dry_run = false;
  absl::Duration timeout = absl::Minutes(10);
};

std::string StateText(const v1::Node& node) {
  return fmt::format("node {} is {}{}{}", node.name(),
                     node.quarantine() == v1::QUARANTINE_NONE ? "not in quarantine"
                                                              : spec::EnumWord(node.quarantine()),
                     node.quarantine_reason().empty() ? "" : ": ",
                     Printable(node.quarantine_reason()));
}

absl::StatusOr<int> DescribeNode(Session& session, const std::string& name) {
  v1::GetNodeRequest request;
  request.set_node(name);
  const auto response = session.client().GetNode(request);
  if (!response.ok()) return During("describe node " + name, response.status());
  if (session.machine_readable()) {
    PrintMessage(session, *response);
  } else {
    fmt::print("{}", NodeDescription(*response, absl::ToUnixMillis(absl::Now())));
  }
  return kExitOk;
}

absl::StatusOr<int> SetQuarantine(Session& session, const QuarantineOptions& options,
                                  v1::Quarantine quarantine) {
  const std::string what = fmt::format(
      "{} node {}", quarantine == v1::QUARANTINE_NONE ? "release" : "quarantine", options.node);
  v1::SetNodeQuarantineRequest request;
  request.set_node(options.node);
  request.set_quarantine(quarantine);
  request.set_reason(options.reason);
  request.set_validate_only(options.dry_run);
  request.set_cool_down_ms(
      static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Milliseconds(options.span))));
  const auto response = session.client().SetNodeQuarantine(request);
  if (!response.ok()) return During(what, response.status());
  if (session.machine_readable()) {
    PrintMessage(session, response->node());
  } else if (options.dry_run) {
    fmt::print("would {}; now {}\n", what, StateText(response->node()));
  } else {
    fmt::print("{}\n", StateText(response->node()));
  }
  return kExitOk;
}

absl::StatusOr<v1::Node> WaitForTest(Session& session, const QuarantineOptions& options,
                                     uint64_t test) {
  const absl::Time until = absl::Now() + options.timeout;
  v1::GetNodeRequest request;
  request.set_node(options.node);
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(const v1::GetNodeResponse node, session.client().GetNode(request));
    if (node.node().last_test().test() >= test) return node.node();
    if (node.node().quarantine() != v1::QUARANTINE_TESTING) {
      return FailedPrecondition("somebody ended the test meanwhile: {}", StateText(node.node()));
    }
    if (absl::Now() >= until) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "no report of test {} within {}; it goes on: muster node describe {}", test,
                   DurationText(options.timeout), options.node);
    }
    absl::SleepFor(absl::Milliseconds(200));
  }
}

absl::StatusOr<int> TestNode(Session& session, const QuarantineOptions& options) {
  const std::string what = "test node " + options.node;
  v1::TestNodeRequest request;
  request.set_node(options.node);
  request.set_reason(options.reason);
  request.set_validate_only(options.dry_run);
  const auto ordered = session.client().TestNode(request);
  if (!ordered.ok()) return During(what, ordered.status());
  if (options.dry_run) {
    fmt::print("would {}; now {}\n", what, StateText(ordered->node()));
    return kExitOk;
  }
  const auto node = WaitForTest(session, options, ordered->test());
  if (!node.ok()) return During(what, node.status());
  const v1::NodeTest& test = node->last_test();
  if (session.machine_readable()) {
    PrintMessage(session, *node);
  } else {
    fmt::print("test {} of node {} {}: {}\n{}\n", test.test(), node->name(),
               test.passed() ? "passed" : "FAILED", Printable(test.text()), StateText(*node));
  }
  return test.passed() ? kExitOk : kExitError;
}

}  // namespace

std::vector<Command> QuarantineCommands(Session* session) {
  auto options = std::make_shared<QuarantineOptions>();
  const Option node = {"NODE", &options->node, "its name", true, {}};
  const Option reason = {"--reason", &options->reason, "why, for whoever looks later", false, {}};
  const Option dry_run = {"--dry-run", &options->dry_run, "check only, change nothing", false, {}};

  Command describe;
  describe.name = "describe";
  describe.summary = "All about one node: place, devices, failures, quarantine, tests";
  describe.examples = R"(  muster node describe n2
  muster node describe n2 -o json | jq '.faults[].text')";
  describe.options = {node};
  describe.run = [session, options] { return DescribeNode(*session, options->node); };

  Command quarantine;
  quarantine.name = "quarantine";
  quarantine.summary = "Keep work away until the node is released, or tested and found well";
  quarantine.examples = R"(  muster node quarantine n2 --reason "ECC errors"
  muster node quarantine n2 --for 2h      then it is tested; if it passes it works again)";
  quarantine.options = {node,
                        reason,
                        {"--for", &options->span, "until its test, such as 2h (no end)", false, {}},
                        dry_run};
  quarantine.run = [session, options] {
    return SetQuarantine(*session, *options, v1::QUARANTINE_COOLING);
  };

  Command release;
  release.name = "release";
  release.summary = "Back to work at once; its failures count half from here on";
  release.examples = R"(  muster node release n2 --reason "cable replaced")";
  release.options = {node, reason, dry_run};
  release.run = [session, options] {
    return SetQuarantine(*session, *options, v1::QUARANTINE_NONE);
  };

  Command test;
  test.name = "test";
  test.summary = "Test the node now (processor, memory, disk) and print what was found";
  test.examples = R"(  muster node test n2                     exit code 1: it failed
  muster node test n2 --timeout 2m        8: no report within two minutes)";
  test.options = {node,
                  reason,
                  {"--timeout", &options->timeout, "how long to wait for the report", false, {}},
                  dry_run};
  test.run = [session, options] { return TestNode(*session, *options); };
  return {std::move(describe), std::move(quarantine), std::move(release), std::move(test)};
}

}  // namespace muster::cli
