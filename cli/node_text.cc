#include "cli/node_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "cli/job_text.h"
#include "cli/table.h"
#include "common/duration.h"
#include "common/hostlist.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

std::string LabelsText(const v1::Node& node) {
  std::string text;
  for (const v1::Label& label : node.labels()) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", label.name(), label.value());
  }
  return text;
}

std::string QuarantineWord(const v1::Node& node) {
  return node.quarantine() == v1::QUARANTINE_NONE ? "-" : spec::EnumWord(node.quarantine());
}

std::string DevicesText(const v1::Node& node) {
  std::map<std::string, int> kinds;
  for (const v1::Device& device : node.devices()) ++kinds[device.kind()];
  std::string devices;
  for (const auto& [kind, count] : kinds) {
    devices += fmt::format("{}{} {}", devices.empty() ? "" : ", ", count, kind);
  }
  return devices;
}

std::string QuarantineLines(const v1::Node& node, int64_t now) {
  std::string text = QuarantineWord(node) == "-" ? "none" : QuarantineWord(node);
  if (!node.quarantine_reason().empty()) text += ": " + Printable(node.quarantine_reason());
  if (node.quarantine_until_unix_ms() > now) {
    text += fmt::format("; {} more",
                        DurationText(absl::Milliseconds(node.quarantine_until_unix_ms() - now)));
  } else if (node.quarantine() == v1::QUARANTINE_COOLING && node.quarantine_until_unix_ms() == 0) {
    text += "; until it is released";
  }
  return text;
}

// A table, indented; nothing without rows.
std::string Section(const std::string& title, const Table& table, bool any) {
  if (!any) return "";
  std::string text = "\n" + title + "\n";
  const std::string rows = table.Text();
  for (size_t begin = 0; begin < rows.size();) {
    const size_t end = std::min(rows.find('\n', begin), rows.size() - 1);
    text += "  " + rows.substr(begin, end - begin + 1);
    begin = end + 1;
  }
  return text;
}

}  // namespace

std::string NodeDescription(const v1::GetNodeResponse& response, int64_t now) {
  const v1::Node& node = response.node();
  const v1::Location& at = node.location();
  const std::vector<uint64_t> jobs(node.jobs().begin(), node.jobs().end());
  std::string text;
  const auto line = [&text](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<11} {}\n", name, value);
  };
  line("Node", node.name());
  line("State", spec::EnumWord(node.state()) +
                    (node.reason().empty() ? "" : ": " + Printable(node.reason())));
  line("Admission", spec::EnumWord(node.admission()));
  line("Quarantine", QuarantineLines(node, now));
  line("Score", fmt::format("{:.2f}", node.failure_score()));
  line("Slots", fmt::format("{} of {} used", node.slots_used(), node.slots()));
  line("Jobs", jobs.empty() ? "" : FormatRanges(jobs));
  line("Spare for", node.spare_for() == 0 ? "" : fmt::format("job {}", node.spare_for()));
  line("NVLink", at.nvlink());
  line("Rack", at.rack());
  line("Pod", at.pod());
  line("Labels", LabelsText(node));
  line("Taints", fmt::format("{}", fmt::join(node.taints(), ",")));
  line("Devices", DevicesText(node));
  line("Peer", node.peer_address());
  line("Life", std::to_string(node.incarnation()));
  Table faults({"WHEN", "JOBS", "WEIGHT", "COUNTS", "WHAT"});
  for (const v1::NodeFault& fault : response.faults()) {
    const std::vector<uint64_t> hit(fault.jobs().begin(), fault.jobs().end());
    const std::string what =
        fault.text() +
        (fault.taken_back().empty() ? "" : " (not counted: " + fault.taken_back() + ")");
    faults.AddRow({SinceText(fault.time_unix_ms(), now) + " ago", FormatRanges(hit),
                   fmt::format("{:.2f}", fault.weight()), fmt::format("{:.2f}", fault.counts()),
                   what});
  }
  text += Section("Failures", faults, response.faults_size() > 0);
  Table changes({"WHEN", "QUARANTINE", "BY", "REASON"});
  for (const v1::QuarantineChange& change : response.quarantine()) {
    changes.AddRow({SinceText(change.time_unix_ms(), now) + " ago",
                    spec::EnumWord(change.quarantine()),
                    change.by_person() ? "person" : "coordinator", change.reason()});
  }
  text += Section("Quarantine", changes, response.quarantine_size() > 0);
  Table tests({"TEST", "WHEN", "RESULT", "WHAT"});
  for (const v1::NodeTest& test : response.tests()) {
    tests.AddRow({std::to_string(test.test()), SinceText(test.time_unix_ms(), now) + " ago",
                  test.passed() ? "passed" : "FAILED", test.text()});
  }
  return text + Section("Tests", tests, response.tests_size() > 0);
}

std::string NodeTable(const v1::ListNodesResponse& nodes, int64_t now, bool wide) {
  std::vector<std::string> header = {"NAME", "STATE", "ADMISSION", "SLOTS",
                                     "JOBS", "HEARD", "REASON"};
  if (wide)
    header.insert(header.begin() + 6, {"NVLINK", "RACK", "POD", "LABELS", "TAINTS", "SPARE FOR",
                                       "QUARANTINE", "SCORE", "DEVICES", "PEER", "LIFE"});
  Table table(header);
  for (const v1::Node& node : nodes.nodes()) {
    std::vector<uint64_t> jobs(node.jobs().begin(), node.jobs().end());
    std::vector<std::string> row = {
        node.name(),
        spec::EnumWord(node.state()),
        spec::EnumWord(node.admission()),
        fmt::format("{}/{}", node.slots_used(), node.slots()),
        jobs.empty() ? "-" : FormatRanges(jobs),
        node.last_heard_unix_ms() == 0 ? "-" : SinceText(node.last_heard_unix_ms(), now) + " ago",
        node.reason().empty() ? "-" : node.reason()};
    if (wide) {
      row.insert(row.begin() + 6,
                 {OrDash(node.location().nvlink()), OrDash(node.location().rack()),
                  OrDash(node.location().pod()), OrDash(LabelsText(node)),
                  OrDash(fmt::format("{}", fmt::join(node.taints(), ","))),
                  node.spare_for() == 0 ? "-" : std::to_string(node.spare_for()),
                  QuarantineWord(node), fmt::format("{:.2f}", node.failure_score()),
                  DevicesText(node), node.peer_address(), std::to_string(node.incarnation())});
    }
    table.AddRow(row);
  }
  return table.Text();
}

}  // namespace muster::cli
