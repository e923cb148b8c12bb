#include "cli/node_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "cli/job_text.h"
#include "cli/table.h"
#include "common/hostlist.h"
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

}  // namespace

std::string NodeTable(const v1::ListNodesResponse& nodes, int64_t now, bool wide) {
  std::vector<std::string> header = {"NAME", "STATE", "ADMISSION", "SLOTS",
                                     "JOBS", "HEARD", "REASON"};
  if (wide)
    header.insert(header.begin() + 6, {"NVLINK", "RACK", "POD", "LABELS", "TAINTS", "SPARE FOR",
                                       "DEVICES", "PEER", "LIFE"});
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
      std::map<std::string, int> kinds;
      for (const v1::Device& device : node.devices()) ++kinds[device.kind()];
      std::string devices;
      for (const auto& [kind, count] : kinds) {
        devices += fmt::format("{}{} {}", devices.empty() ? "" : ", ", count, kind);
      }
      row.insert(row.begin() + 6,
                 {OrDash(node.location().nvlink()), OrDash(node.location().rack()),
                  OrDash(node.location().pod()), OrDash(LabelsText(node)),
                  OrDash(fmt::format("{}", fmt::join(node.taints(), ","))),
                  node.spare_for() == 0 ? "-" : std::to_string(node.spare_for()), devices,
                  node.peer_address(), std::to_string(node.incarnation())});
    }
    table.AddRow(row);
  }
  return table.Text();
}

}  // namespace muster::cli
