#include "sim/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "common/duration.h"
#include "common/status.h"

namespace muster::sim {
namespace {

struct Key {
  const char* name;
  const char* meaning;
  Micros Case::*span = nullptr;
  int64_t Case::*count = nullptr;
  double Case::*chance = nullptr;
};

Key Span(const char* name, Micros Case::*member, const char* meaning) {
  return {name, meaning, member, nullptr, nullptr};
}
Key Count(const char* name, int64_t Case::*member, const char* meaning) {
  return {name, meaning, nullptr, member, nullptr};
}
Key Chance(const char* name, double Case::*member, const char* meaning) {
  return {name, meaning, nullptr, nullptr, member};
}

const std::vector<Key>& Keys() {
  static const std::vector<Key> keys = {
      Span("duration", &Case::duration, "how long load and faults go on"),
      Span("settle", &Case::settle,
           "liveness: then faults stop, and every job must end within this; 0 = not checked"),
      Count("nodes", &Case::nodes, "machines"),
      Count("slots", &Case::slots, "device slots of each"),
      Count("racks", &Case::racks, "racks the nodes are divided over; 0 = none"),
      Count("pods", &Case::pods, "pods the racks are divided over; 0 = none"),
      Count("jobs_max", &Case::jobs_max, "no more submissions than this"),
      Count("lost_nodes", &Case::lost_nodes,
            "of the nodes, so many lose power for good when the settling begins"),
      Count("users", &Case::users, "people who submit"),
      Span("heartbeat", &Case::heartbeat, "between two heartbeats of a worker"),
      Span("suspect_after", &Case::suspect_after, "silence that makes a node suspect"),
      Span("dead_after", &Case::dead_after, "silence or absence that makes it dead"),
      Span("reconnect_grace", &Case::reconnect_grace, "wait for workers after a start"),
      Span("stop_grace", &Case::stop_grace, "time to stop when cancelled"),
      Span("drain_grace", &Case::drain_grace, "time to stop when drained"),
      Span("tick", &Case::tick, "longest time between two ticks of the coordinator"),
      Span("shim_report", &Case::shim_report, "between two reports of a shim without news"),
      Span("orphan_grace", &Case::orphan_grace, "a shim without a worker ends its ranks after"),
      Span("disk.sync", &Case::disk_sync, "mean time of one sync of the journal"),
      Span("network.delay", &Case::delay, "shortest way of a message"),
      Span("network.delay_max", &Case::delay_max, "longest"),
      Span("network.half_open", &Case::half_open,
           "a side that is not told of a broken stream notices within this"),
      Span("down", &Case::down, "mean time a crashed process or machine is away"),
      Span("client.timeout", &Case::client_timeout, "a caller asks again after"),
      Span("clear_within", &Case::clear_within,
           "a connected node must be rid of an ended attempt within this"),
      Chance("clock.drift", &Case::drift, "most that a clock runs fast or slow (0.01 = 1 %)"),
      Chance("quarantine.share", &Case::quarantine_share,
             "of the nodes, at least one, that the coordinator may quarantine"),
      Span("quarantine.cool_down", &Case::quarantine_cool_down,
           "of the first quarantine; it doubles up to four times this"),
      Span("probation", &Case::probation, "after a quarantine"),
      Span("submit", &Case::submit, "submissions"),
      Span("cancel", &Case::cancel, "cancellations"),
      Span("admission", &Case::admission, "a node is drained, cordoned or opened"),
      Span("quarantine", &Case::quarantine,
           "a node is quarantined, released or tested by a person"),
      Span("control", &Case::control, "hold, release, suspend, resume, requeue"),
      Span("scale", &Case::scale, "a job's mesh is changed"),
      Span("queue_change", &Case::queue_change, "a queue is changed or paused"),
      Span("coordinator.crash", &Case::coordinator_crash, "kill -9"),
      Span("coordinator.power", &Case::coordinator_power, "its machine loses power"),
      Span("coordinator.pause", &Case::coordinator_pause, "it stands still and wakes later"),
      Span("coordinator.copy", &Case::coordinator_copy,
           "a second one is started from an older copy of the state folder"),
      Span("disk.full", &Case::disk_full, "an append to the journal fails"),
      Span("disk.corrupt", &Case::disk_corrupt, "bytes of the journal change while it is down"),
      Span("network.cut", &Case::network_cut, "a stream breaks"),
      Span("network.partition", &Case::network_partition, "a node is cut off, both ways"),
      Span("network.oneway", &Case::network_oneway, "a node is cut off in one direction"),
      Span("network.split", &Case::network_split, "a part of the nodes is cut off at once"),
      Span("worker.crash", &Case::worker_crash, "a worker process dies; its ranks run on"),
      Span("worker.pause", &Case::worker_pause, "a worker stands still and wakes later"),
      Span("shim.crash", &Case::shim_crash, "a shim dies; its ranks are left over"),
      Span("rank.crash", &Case::rank_crash, "a rank dies"),
      Span("node.power", &Case::node_power, "a machine loses power"),
      Span("clock.jump", &Case::clock_jump, "the coordinator's wall clock is set, up to an hour"),
      Chance("network.lose_request", &Case::lose_request, "a caller's request is lost"),
      Chance("network.lose_reply", &Case::lose_reply, "a reply to a caller is lost"),
      Chance("client.repeat", &Case::repeat_request, "an answered request is sent once more"),
      Chance("coordinator.crash_in_step", &Case::coordinator_crash_in_step,
             "the coordinator dies between two effects of one step"),
      Chance("worker.crash_in_step", &Case::worker_crash_in_step,
             "a worker dies between two actions of one step"),
      Chance("save.fails", &Case::save_fails, "a checkpoint cannot be written"),
      Chance("save.bad", &Case::bad_saves, "no resume gets through what was committed"),
      Chance("spawn.fails", &Case::spawn_fails, "a shim cannot be started"),
      Chance("test.fails", &Case::test_fails, "a node's test of itself fails"),
      Chance("harness.skip_sync", &Case::skip_sync,
             "broken on purpose: a batch counts as durable before it is"),
      Chance("harness.reply_before_sync", &Case::reply_before_sync,
             "broken on purpose: effects leave before their records are durable"),
  };
  return keys;
}

absl::StatusOr<int64_t> NumberOf(const std::string& text) {
  size_t used = 0;
  bool negative = !text.empty() && text[0] == '-';
  int64_t value = 0;
  for (size_t i = negative ? 1 : 0; i < text.size(); ++i, ++used) {
    if (text[i] < '0' || text[i] > '9' || used > 15) {
      return InvalidArgument("\"{}\" is not a whole number", text);
    }
    value = value * 10 + (text[i] - '0');
  }
  if (used == 0) return InvalidArgument("\"{}\" is not a whole number", text);
  return negative ? -value : value;
}

absl::StatusOr<Micros> SpanOf(const std::string& text) {
  if (text == "0") return Micros{0};
  MUSTER_ASSIGN_OR_RETURN(const absl::Duration span, DurationFromText(text));
  return absl::ToInt64Microseconds(span);
}

absl::StatusOr<double> ChanceOf(const std::string& text) {
  std::istringstream in(text);
  double value = 0;
  if (!(in >> value) || !in.eof()) return InvalidArgument("\"{}\" is not a number", text);
  return value;
}

template <typename One>
absl::StatusOr<Range> RangeOf(const std::string& text, One one) {
  const size_t dots = text.find("..");
  MUSTER_ASSIGN_OR_RETURN(const int64_t low, one(text.substr(0, dots)));
  if (dots == std::string::npos) return Range{low, low};
  MUSTER_ASSIGN_OR_RETURN(const int64_t high, one(text.substr(dots + 2)));
  return Range{low, high};
}

absl::Status SetJobField(JobKind& kind, const std::string& name, const std::string& value) {
  static const std::vector<std::pair<const char*, Range JobKind::*>> counts = {
      {"ranks", &JobKind::ranks},           {"slots_per_rank", &JobKind::slots_per_rank},
      {"tensor", &JobKind::tensor},         {"steps", &JobKind::steps},
      {"save_every", &JobKind::save_every}, {"keep", &JobKind::keep},
      {"priority", &JobKind::priority},     {"array", &JobKind::array},
      {"spares", &JobKind::spares}};
  static const std::vector<std::pair<const char*, double JobKind::*>> chances = {
      {"weight", &JobKind::weight},   {"broken", &JobKind::broken},
      {"bug", &JobKind::bug},         {"panic", &JobKind::panic},
      {"shrinks", &JobKind::shrinks}, {"depends", &JobKind::depends},
      {"held", &JobKind::held},       {"exclusive", &JobKind::exclusive},
      {"lend", &JobKind::lend}};
  for (const auto& [key, member] : counts) {
    if (name != key) continue;
    MUSTER_ASSIGN_OR_RETURN(kind.*member, RangeOf(value, NumberOf));
    return absl::OkStatus();
  }
  for (const auto& [key, member] : chances) {
    if (name != key) continue;
    MUSTER_ASSIGN_OR_RETURN(kind.*member, ChanceOf(value));
    return absl::OkStatus();
  }
  if (name == "step" || name == "time_limit") {
    MUSTER_ASSIGN_OR_RETURN((name == "step" ? kind.step : kind.time_limit), RangeOf(value, SpanOf));
    return absl::OkStatus();
  }
  if (name == "queue" || name == "within") {
    (name == "queue" ? kind.queue : kind.tensor_within) = value;
    return absl::OkStatus();
  }
  return InvalidArgument("a job has no \"{}\"", name);
}

absl::Status SetQueueField(QueueKind& kind, const std::string& name, const std::string& value) {
  if (name == "name") {
    kind.name = value;
    return absl::OkStatus();
  }
  if (name == "weight") {
    MUSTER_ASSIGN_OR_RETURN(kind.weight, ChanceOf(value));
    return absl::OkStatus();
  }
  for (const auto& [key, member] : std::vector<std::pair<const char*, int64_t QueueKind::*>>{
           {"quota", &QueueKind::quota},
           {"limit", &QueueKind::limit},
           {"user_limit", &QueueKind::user_limit},
           {"priority", &QueueKind::priority}}) {
    if (name != key) continue;
    MUSTER_ASSIGN_OR_RETURN(kind.*member, NumberOf(value));
    return absl::OkStatus();
  }
  return InvalidArgument("a queue has no \"{}\"", name);
}

absl::Status ReadFields(
    std::istringstream& in,
    const std::function<absl::Status(const std::string&, const std::string&)>& set) {
  std::string field;
  while (in >> field) {
    const size_t at = field.find('=');
    if (at == std::string::npos) return InvalidArgument("\"{}\" is not name=value", field);
    MUSTER_RETURN_IF_ERROR(set(field.substr(0, at), field.substr(at + 1)));
  }
  return absl::OkStatus();
}

absl::Status ReadKey(Case& out, const std::string& name, std::istringstream& in) {
  const auto key =
      std::find_if(Keys().begin(), Keys().end(), [&](const Key& one) { return one.name == name; });
  if (key == Keys().end()) {
    return InvalidArgument("there is no key \"{}\"; `muster-sim keys` lists them", name);
  }
  std::string value, rest;
  in >> value;
  if (value == "every") in >> value;
  if (in >> rest) return InvalidArgument("\"{}\" follows the value of {}", rest, name);
  if (key->span != nullptr) {
    MUSTER_ASSIGN_OR_RETURN(out.*key->span, SpanOf(value));
  } else if (key->count != nullptr) {
    MUSTER_ASSIGN_OR_RETURN(out.*key->count, NumberOf(value));
  } else {
    MUSTER_ASSIGN_OR_RETURN(out.*key->chance, ChanceOf(value));
  }
  return absl::OkStatus();
}

absl::Status ReadLine(Case& out, const std::string& line) {
  std::istringstream in(line.substr(0, line.find('#')));
  std::string name;
  if (!(in >> name)) return absl::OkStatus();
  if (name == "about") {
    std::getline(in >> std::ws, out.about);
    return absl::OkStatus();
  }
  if (name == "job") {
    JobKind kind;
    MUSTER_RETURN_IF_ERROR(ReadFields(in, [&](const std::string& field, const std::string& value) {
      return SetJobField(kind, field, value);
    }));
    out.jobs.push_back(kind);
    return absl::OkStatus();
  }
  if (name == "queue") {
    QueueKind kind;
    MUSTER_RETURN_IF_ERROR(ReadFields(in, [&](const std::string& field, const std::string& value) {
      return SetQueueField(kind, field, value);
    }));
    out.queues.push_back(kind);
    return absl::OkStatus();
  }
  if (name == "check") {
    std::string checker;
    while (in >> checker) {
      if (std::count(Checkers().begin(), Checkers().end(), checker) == 0) {
        return InvalidArgument("there is no checker \"{}\"; `muster-sim keys` lists them", checker);
      }
      out.checks.insert(checker);
    }
    return absl::OkStatus();
  }
  return ReadKey(out, name, in);
}

}  // namespace

bool Case::Checks(const std::string& checker) const {
  if (checks.empty()) return checker != "canary";
  return checks.count(checker) > 0;
}

const std::vector<std::string>& Checkers() {
  static const std::vector<std::string> names = {
      "records", "slots",   "epochs", "effects", "requests",   "commits",   "leftovers",
      "replay",  "reasons", "ends",   "ledger",  "quarantine", "incidents", "canary"};
  return names;
}

absl::StatusOr<Case> ReadCase(const std::string& path) {
  std::ifstream file(path);
  if (!file) return NotFound("read case {}: no such file; cases are in tests/sim/cases", path);
  Case out;
  out.name = path;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (const absl::Status status = ReadLine(out, line); !status.ok()) {
      return InvalidArgument("{}:{}: {}", path, number, std::string(status.message()));
    }
  }
  if (out.jobs.empty()) out.jobs.emplace_back();
  if (out.nodes < 1 || out.slots < 1 || out.duration <= 0) {
    return InvalidArgument("{}: nodes, slots and duration must be more than 0", path);
  }
  return out;
}

std::string CaseKeys() {
  const Case defaults;
  std::string text;
  for (const Key& key : Keys()) {
    std::string value;
    if (key.span != nullptr) {
      const Micros span = defaults.*key.span;
      value = span == 0 ? "0" : DurationText(absl::Microseconds(span));
    } else if (key.count != nullptr) {
      value = std::to_string(defaults.*key.count);
    } else {
      value = fmt::format("{}", defaults.*key.chance);
    }
    text += fmt::format("  {:28} {:>9}  {}\n", key.name, value, key.meaning);
  }
  text += "checkers:";
  for (const std::string& name : Checkers()) text += " " + name;
  return text + "\n";
}

}  // namespace muster::sim
