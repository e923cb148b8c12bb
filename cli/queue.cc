#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/queue_text.h"
#include "common/status.h"
#include "common/terminal.h"
#include "spec/names.h"
#include "spec/nearest_name.h"

namespace muster::cli {
namespace {

struct QueueOptions {
  std::string name;
  std::string reason;
  bool dry_run = false;
  // Of `set`; empty = keeps what it is.
  std::string weight;
  std::string priority;
  std::string quota;
  std::string limit;
  std::string user_limit;
};

template <typename Number>
absl::StatusOr<Number> ParseValue(const std::string& option, const std::string& text,
                                  const char* wanted) {
  Number value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) {
    return InvalidArgument("{} {:.40}: want {}", option, text, wanted);
  }
  return value;
}

// Puts what the command line names over what the queue is.
absl::Status ApplyOptions(const QueueOptions& options, v1::QueueSpec* spec) {
  if (!options.weight.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const double weight,
                            ParseValue<double>("--weight", options.weight, "a number above 0"));
    if (!std::isfinite(weight) || weight <= 0) {
      return InvalidArgument("--weight {}: want a number above 0", options.weight);
    }
    spec->set_weight(weight);
  }
  if (!options.priority.empty()) {
    MUSTER_ASSIGN_OR_RETURN(
        const int32_t priority,
        ParseValue<int32_t>("--priority", options.priority, "a whole number such as 1 or -1"));
    spec->set_priority(priority);
  }
  constexpr char kSlots[] = "a number of slots";
  constexpr char kSlotsOrNone[] = "a number of slots, or none";
  if (!options.quota.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t quota,
                            ParseValue<uint32_t>("--quota", options.quota, kSlots));
    spec->set_quota(quota);
  }
  if (options.limit == "none") {
    spec->clear_limit();
  } else if (!options.limit.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t limit,
                            ParseValue<uint32_t>("--limit", options.limit, kSlotsOrNone));
    spec->set_limit(limit);
  }
  if (options.user_limit == "none") {
    spec->clear_user_limit();
  } else if (!options.user_limit.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t limit,
                            ParseValue<uint32_t>("--user-limit", options.user_limit, kSlotsOrNone));
    spec->set_user_limit(limit);
  }
  return absl::OkStatus();
}

const v1::Queue* FindQueue(const v1::ListQueuesResponse& queues, const std::string& name) {
  for (const v1::Queue& queue : queues.queues()) {
    if (queue.spec().name() == name) return &queue;
  }
  return nullptr;
}

absl::StatusOr<int> ListQueues(Session& session) {
  MUSTER_ASSIGN_OR_RETURN(const v1::ListQueuesResponse queues, session.client().ListQueues());
  if (session.machine_readable()) {
    PrintMessage(session, queues);
  } else {
    fmt::print("{}", QueueTable(queues, session.format() == OutputFormat::kWide));
  }
  return kExitOk;
}

absl::StatusOr<int> ShowQueue(Session& session, const std::string& name) {
  MUSTER_ASSIGN_OR_RETURN(const v1::ListQueuesResponse queues, session.client().ListQueues());
  const v1::Queue* queue = FindQueue(queues, name);
  if (queue == nullptr) {
    std::vector<std::string> names;
    for (const v1::Queue& known : queues.queues()) names.push_back(known.spec().name());
    const std::string nearest = spec::NearestName(name, names);
    return NotFound(
        "no queue \"{}\"; {}", name,
        nearest.empty() ? "see muster queue list" : fmt::format("did you mean \"{}\"?", nearest));
  }
  if (session.machine_readable()) {
    PrintMessage(session, *queue);
  } else {
    fmt::print("{}", QueueDescription(*queue));
  }
  return kExitOk;
}

absl::StatusOr<int> SetQueue(Session& session, const QueueOptions& options) {
  const std::string what = fmt::format("set queue \"{}\"", options.name);
  MUSTER_RETURN_IF_ERROR(spec::CheckQueueName(options.name));
  v1::SetQueueRequest request;
  request.mutable_queue()->set_name(options.name);
  request.mutable_queue()->set_weight(1);
  // Wrong values are found before the coordinator is asked.
  MUSTER_RETURN_IF_ERROR(ApplyOptions(options, request.mutable_queue()));
  const auto queues = session.client().ListQueues();
  if (!queues.ok()) return During(what, queues.status());
  const v1::Queue* known = FindQueue(*queues, options.name);
  if (known != nullptr) {
    *request.mutable_queue() = known->spec();
    MUSTER_RETURN_IF_ERROR(ApplyOptions(options, request.mutable_queue()));
  }
  request.set_validate_only(options.dry_run);
  const auto response = session.client().SetQueue(request);
  if (!response.ok()) return During(what, response.status());
  if (session.machine_readable()) {
    PrintMessage(session, response->queue());
  } else if (options.dry_run) {
    fmt::print("queue {} could be {}: {}; nothing was done\n", options.name,
               known == nullptr ? "made" : "changed", QueueRules(request.queue()));
  } else {
    fmt::print("queue {} {}: {}\n", options.name, known == nullptr ? "made" : "changed",
               QueueRules(response->queue().spec()));
  }
  return kExitOk;
}

absl::StatusOr<int> PauseQueue(Session& session, const QueueOptions& options, bool paused) {
  v1::PauseQueueRequest request;
  request.set_name(options.name);
  request.set_paused(paused);
  request.set_reason(options.reason);
  const auto response = session.client().PauseQueue(request);
  if (!response.ok()) {
    return During(fmt::format("{} queue \"{}\"", paused ? "pause" : "resume", options.name),
                  response.status());
  }
  if (session.machine_readable()) {
    PrintMessage(session, response->queue());
  } else {
    fmt::print("queue {} is {}; {} waiting, {} active\n", options.name,
               response->queue().spec().paused() ? "paused: it starts nothing" : "open",
               response->queue().jobs_waiting(), response->queue().jobs_active());
  }
  return kExitOk;
}

Command SetCommand(Session* session) {
  auto options = std::make_shared<QueueOptions>();
  Command command;
  command.name = "set";
  command.summary = "Make a queue, or change some of its rules";
  command.examples =
      R"(  muster queue set research --weight 2 --quota 64            make it, or change these two
  muster queue set research --limit 96 --user-limit 16       never more than 96 slots, 16 a user
  muster queue set research --limit none                     borrow as much as there is
What is not named stays as it is; of a new queue: weight 1, priority 0, quota 0, no limits.)";
  command.options = {
      {"NAME", &options->name, "its name", true, {}},
      {"--weight",
       &options->weight,
       "its part of what is contended, beside the others'",
       false,
       {}},
      {"--priority", &options->priority, "higher goes first", false, {}},
      {"--quota", &options->quota, "slots it may always get back", false, {}},
      {"--limit", &options->limit, "most slots it may hold, borrowed ones too; or none", false, {}},
      {"--user-limit",
       &options->user_limit,
       "most slots one user may hold in it; or none",
       false,
       {}},
      {"--dry-run", &options->dry_run, "check only", false, {}}};
  command.run = [session, options] { return SetQueue(*session, *options); };
  return command;
}

Command PauseCommand(Session* session, bool paused) {
  auto options = std::make_shared<QueueOptions>();
  Command command;
  command.name = paused ? "pause" : "resume";
  command.summary = paused ? "Start nothing from a queue; what runs, runs on"
                           : "Start jobs from a paused queue again";
  command.examples = paused ? "  muster queue pause research --reason \"data is being replaced\""
                            : "  muster queue resume research";
  command.options = {{"NAME", &options->name, "its name", true, {}},
                     {"--reason", &options->reason, "why, for whoever looks later", false, {}}};
  command.run = [session, options, paused] { return PauseQueue(*session, *options, paused); };
  return command;
}

}  // namespace

Command QueueCommand(Session* session) {
  const Command list = LeafCommand("list", "Queues in the order they are served",
                                   R"(  muster queue list
  muster queue list -o wide       limits too
  muster queue list -o json | jq '.queues[] | {name: .spec.name, used: .slots_used}')",
                                   [session] { return ListQueues(*session); });

  auto name = std::make_shared<std::string>();
  Command show;
  show.name = "show";
  show.summary = "All about one queue";
  show.examples = "  muster queue show research";
  show.options = {{"NAME", name.get(), "its name", true, {}}};
  show.run = [session, name] { return ShowQueue(*session, *name); };

  Command command;
  command.name = "queue";
  command.summary = "Who shares the cluster, and how";
  command.examples = R"(  muster queue list
  muster queue set research --weight 2 --quota 64
A job says its queue in schedule.queue ("default" if not). A queue may always get back the slots of
its quota; what it holds beyond is borrowed. See docs/operations/scheduling.md)";
  command.children = {list, show, SetCommand(session), PauseCommand(session, true),
                      PauseCommand(session, false)};
  return command;
}

}  // namespace muster::cli
