#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/ledger_text.h"
#include "common/duration.h"
#include "common/status.h"

namespace muster::cli {
namespace {

struct LedgerOptions {
  std::string job;
  std::string node;
  std::string queue;
  std::string user;
  std::string since;
  std::string until;
};

// "24h" ago, or a time. 0 when nothing is said.
absl::StatusOr<int64_t> ParseBound(const std::string& option, const std::string& text,
                                   absl::Time now) {
  if (text.empty()) return 0;
  if (const auto ago = DurationFromText(text); ago.ok()) return absl::ToUnixMillis(now - *ago);
  for (const char* format : {absl::RFC3339_full, "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
                             "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"}) {
    absl::Time time;
    std::string error;
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) {
      return absl::ToUnixMillis(time);
    }
  }
  return InvalidArgument(
      "{} {:.60}: want how long ago (24h, 7d) or a time (2026-03-01, \"2026-03-01 12:30\" in UTC, "
      "or "
      "with a zone as in 2026-03-01T12:30:00+02:00)",
      option, text);
}

absl::StatusOr<int> Show(Session& session, const LedgerOptions& options) {
  const int named = (options.job.empty() ? 0 : 1) + (options.node.empty() ? 0 : 1) +
                    (options.queue.empty() ? 0 : 1) + (options.user.empty() ? 0 : 1);
  if (named > 1) {
    return InvalidArgument(
        "ledger: of JOB, --node, --queue and --user give one; none means the whole cluster");
  }
  const absl::Time now = absl::Now();
  v1::GetLedgerRequest request;
  MUSTER_ASSIGN_OR_RETURN(const int64_t since, ParseBound("--since", options.since, now));
  MUSTER_ASSIGN_OR_RETURN(const int64_t until, ParseBound("--until", options.until, now));
  if (until != 0 && until <= since) {
    return InvalidArgument("--until {} is not after --since {}", options.until, options.since);
  }
  request.set_node(options.node);
  request.set_queue(options.queue);
  request.set_user(options.user);
  request.set_since_unix_ms(since);
  request.set_until_unix_ms(until);
  if (!options.job.empty()) {
    const auto job = session.client().GetJob(options.job);
    if (!job.ok()) return During(fmt::format("ledger of job {}", options.job), job.status());
    request.set_job_id(job->id());
  }
  const auto response = session.client().GetLedger(request);
  if (!response.ok()) return During("ledger", response.status());
  if (session.machine_readable()) {
    PrintMessage(session, response->ledger());
  } else {
    fmt::print("{}", LedgerText(response->ledger(), session.format() == OutputFormat::kWide));
  }
  return kExitOk;
}

}  // namespace

Command LedgerCommand(Session* session) {
  auto options = std::make_shared<LedgerOptions>();
  Command command;
  command.name = "ledger";
  command.summary = "Where slot time went, and what failures cost: goodput, hours, money";
  command.examples =
      R"(  muster ledger                            the whole cluster, since its beginning
  muster ledger gpt-stdlib                 one job, live ones up to now
  muster ledger --queue research --since 7d
  muster ledger --node n12 --since 2026-03-01 --until 2026-04-01
  muster ledger 7 -o json | jq '.entries[] | {kind, wall_seconds, slot_seconds, cost}'
  muster ledger -o wide                    kinds nothing went into, too
Every slot-second is in one kind: productive, straggler (steps beyond 1.5 x the typical one), recompute
(steps lost), startup, checkpoint_load, checkpoint_stall, detect (broken, and not known yet), hang,
restart, overhead (evaluation, between steps), idle (held, not used). Waiting has no slots. The price of
a slot-hour is the coordinator's --price-per-slot-hour. See docs/operations/recovery.md.)";
  command.options = {{"JOB", &options->job, "id or name", false, {}},
                     {"--node", &options->node, "what was held on this node", false, {}},
                     {"--queue", &options->queue, "jobs of this queue", false, {}},
                     {"--user", &options->user, "jobs of this user", false, {}},
                     {"--since",
                      &options->since,
                      "how long ago (24h, 7d), or a time; else from the beginning",
                      false,
                      {}},
                     {"--until", &options->until, "the same; else up to now", false, {}}};
  command.run = [session, options] { return Show(*session, *options); };
  return command;
}

}  // namespace muster::cli
