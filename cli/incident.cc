#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/incident_text.h"
#include "cli/user_name.h"
#include "common/status.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

struct IncidentOptions {
  std::string states;
  std::string job;
  std::string node;
  absl::Duration since;
  bool unacknowledged = false;
  uint64_t id = 0;
  std::string note;
  bool dry_run = false;
};

absl::StatusOr<int> List(Session& session, const IncidentOptions& options) {
  v1::ListIncidentsRequest request;
  const std::vector<std::string> words = absl::StrSplit(options.states, ',', absl::SkipEmpty());
  for (const std::string& word : words) {
    const auto* state = spec::FindEnumWord(v1::IncidentState_descriptor(), word);
    if (state == nullptr) {
      return InvalidArgument("--state {}: no such state; known: {}", word,
                             fmt::join(spec::EnumWords(v1::IncidentState_descriptor()), ", "));
    }
    request.add_states(static_cast<v1::IncidentState>(state->number()));
  }
  if (!options.job.empty()) {
    const auto job = session.client().GetJob(options.job);
    if (!job.ok()) return During("list incidents of job " + options.job, job.status());
    request.set_job_id(job->id());
  }
  request.set_node(options.node);
  request.set_unacknowledged(options.unacknowledged);
  const int64_t now_unix_ms = absl::ToUnixMillis(absl::Now());
  if (options.since > absl::ZeroDuration()) {
    request.set_since_unix_ms(now_unix_ms - absl::ToInt64Milliseconds(options.since));
  }
  MUSTER_ASSIGN_OR_RETURN(const v1::ListIncidentsResponse incidents,
                          session.client().ListIncidents(request));
  if (session.machine_readable()) {
    PrintMessage(session, incidents);
  } else if (incidents.incidents().empty()) {
    fmt::print("no such incidents\n");
  } else {
    fmt::print("{}",
               IncidentTable(incidents, now_unix_ms, session.format() == OutputFormat::kWide));
  }
  return kExitOk;
}

absl::StatusOr<int> Show(Session& session, uint64_t id) {
  const auto incident = session.client().GetIncident(id);
  if (!incident.ok()) return During(fmt::format("show incident {}", id), incident.status());
  if (session.machine_readable()) {
    PrintMessage(session, *incident);
  } else {
    fmt::print("{}", IncidentPage(*incident));
  }
  return kExitOk;
}

absl::StatusOr<int> Acknowledge(Session& session, const IncidentOptions& options) {
  v1::AckIncidentRequest request;
  request.set_incident_id(options.id);
  request.set_note(options.note);
  request.set_validate_only(options.dry_run);
  request.set_user(UserName());
  const auto response = session.client().AckIncident(request);
  if (!response.ok()) return During(fmt::format("ack incident {}", options.id), response.status());
  if (session.machine_readable()) {
    PrintMessage(session, response->incident());
  } else {
    fmt::print("incident {} {}\n", options.id,
               options.dry_run ? "could be acknowledged; nothing was done" : "is acknowledged");
  }
  return kExitOk;
}

Command ListCommandOf(Session* session) {
  auto options = std::make_shared<IncidentOptions>();
  Command command;
  command.name = "list";
  command.summary = "Incidents, newest first, a line each";
  command.examples = R"(  muster incident list                          all that are remembered
  muster incident list --state open,waiting     what is not yet well
  muster incident list --job gpt --since 24h    one job's, of the last day
  muster incident list --node n2 -o wide        one node's, with cost and blame
  muster incident list --unacked                those nobody has seen to)";
  command.options = {
      {"--state", &options->states, "only these: open, waiting, resumed, failed", false, {}},
      {"--job", &options->job, "only those that hit this job: id or name", false, {}},
      {"--node", &options->node, "only those that this node caused", false, {}},
      {"--since", &options->since, "only those that began within this time", false, {}},
      {"--unacked", &options->unacknowledged, "only those nobody has acknowledged", false, {}}};
  command.run = [session, options] { return List(*session, *options); };
  return command;
}

}  // namespace

Command IncidentCommand(Session* session) {
  auto shown = std::make_shared<uint64_t>(0);
  Command show;
  show.name = "show";
  show.summary = "All about one incident: evidence, blame, what was done, where the time went";
  show.examples = "  muster incident show 7\n  muster incident show 7 -o json";
  show.options = {{"ID", shown.get(), "its number", true, {}}};
  show.run = [session, shown] { return Show(*session, *shown); };

  auto acked = std::make_shared<IncidentOptions>();
  Command ack;
  ack.name = "ack";
  ack.summary = "Say that somebody has seen to it";
  ack.examples = "  muster incident ack 7 --note \"new power supply ordered\"";
  ack.options = {{"ID", &acked->id, "its number", true, {}},
                 {"--note", &acked->note, "what was found or done", false, {}},
                 {"--dry-run", &acked->dry_run, "check only", false, {}}};
  ack.run = [session, acked] { return Acknowledge(*session, *acked); };

  Command command;
  command.name = "incident";
  command.summary = "Failures: what broke first, what it cost, what was done";
  command.examples = R"(  muster incident list
  muster incident show 7
See docs/operations/recovery.md)";
  command.children = {ListCommandOf(session), show, ack};
  return command;
}

}  // namespace muster::cli
