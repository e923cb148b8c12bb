#include "cli/queue_text.h"

#include <fmt/format.h>

#include "cli/table.h"
#include "common/terminal.h"

namespace muster::cli {
namespace {

std::string Slots(bool stated, uint32_t slots) { return stated ? std::to_string(slots) : "-"; }

std::string StateOf(const v1::QueueSpec& spec) { return spec.paused() ? "paused" : "open"; }

std::string ReasonOf(const v1::Queue& queue) {
  if (queue.spec().paused() && !queue.spec().paused_reason().empty()) {
    return "paused: " + queue.spec().paused_reason();
  }
  return queue.head_reason().empty() ? "-" : queue.head_reason();
}

}  // namespace

std::string QueueTable(const v1::ListQueuesResponse& queues, bool wide) {
  std::vector<std::string> header = {"NAME",   "STATE", "PRIORITY",   "WEIGHT",
                                     "QUOTA",  "USED",  "BORROWED",   "WAITING",
                                     "ACTIVE", "SHARE", "FIRST WAITS"};
  if (wide) header.insert(header.begin() + 5, {"LIMIT", "USER LIMIT"});
  Table table(header);
  for (const v1::Queue& queue : queues.queues()) {
    const v1::QueueSpec& spec = queue.spec();
    std::vector<std::string> row = {spec.name(),
                                    StateOf(spec),
                                    std::to_string(spec.priority()),
                                    fmt::format("{}", spec.weight()),
                                    Slots(spec.quota() > 0, spec.quota()),
                                    std::to_string(queue.slots_used()),
                                    std::to_string(queue.slots_borrowed()),
                                    std::to_string(queue.jobs_waiting()),
                                    std::to_string(queue.jobs_active()),
                                    fmt::format("{:.1f} %", 100 * queue.share()),
                                    ReasonOf(queue)};
    if (wide) {
      row.insert(row.begin() + 5, {Slots(spec.has_limit(), spec.limit()),
                                   Slots(spec.has_user_limit(), spec.user_limit())});
    }
    table.AddRow(row);
  }
  return table.Text();
}

std::string QueueRules(const v1::QueueSpec& spec) {
  std::string text =
      fmt::format("weight {}, priority {}, quota {}", spec.weight(), spec.priority(), spec.quota());
  text += spec.has_limit() ? fmt::format(", limit {}", spec.limit()) : ", no limit";
  if (spec.has_user_limit()) text += fmt::format(", at most {} a user", spec.user_limit());
  return text;
}

std::string QueueDescription(const v1::Queue& queue) {
  const v1::QueueSpec& spec = queue.spec();
  std::string out = fmt::format("Queue:        {}\n", Printable(spec.name()));
  out += fmt::format("State:        {}{}{}\n", StateOf(spec),
                     spec.paused() && !spec.paused_reason().empty() ? ": " : "",
                     spec.paused() ? Printable(spec.paused_reason()) : "");
  out += fmt::format("Rules:        {}\n", QueueRules(spec));
  out += fmt::format("Slots:        {} used", queue.slots_used());
  if (queue.slots_borrowed() > 0) {
    out += fmt::format(", {} of them borrowed beyond the quota", queue.slots_borrowed());
  }
  out += fmt::format(
      "\nUse:          {:.1f} slot hours (older use counts less), {:.1f} % of all by "
      "weight\n",
      queue.usage_slot_hours(), 100 * queue.share());
  out += fmt::format("Jobs:         {} active, {} waiting\n", queue.jobs_active(),
                     queue.jobs_waiting());
  if (!queue.head_reason().empty()) {
    out += fmt::format("First waits:  {}\n", Printable(queue.head_reason()));
  }
  return out;
}

}  // namespace muster::cli
