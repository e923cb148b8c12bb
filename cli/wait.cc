#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/incident_lines.h"
#include "cli/job_text.h"
#include "cli/wait_goal.h"
#include "common/duration.h"
#include "common/status.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(250);

struct WaitOptions {
  std::string job;
  std::string goal = "succeeded";
  absl::Duration timeout = absl::InfiniteDuration();
};

// Says on stderr what became of the job's failures since the last look. What cannot be had now is
// asked for again with the next change.
class Incidents {
 public:
  explicit Incidents(Session& session) : session_(session) {}

  void Look(const v1::Job& job) {
    if (looked_ && job.revision() == revision_) return;
    v1::ListIncidentsRequest request;
    request.set_job_id(job.id());
    request.set_since_unix_ms(lines_.since_unix_ms());
    const auto incidents = session_.client().ListIncidents(request);
    if (!incidents.ok()) return;
    looked_ = true;
    revision_ = job.revision();
    for (const std::string& line : lines_.Take(*incidents)) {
      fmt::print(stderr, "{}  {}\n", ClockText(absl::ToUnixMillis(absl::Now())), line);
    }
  }

 private:
  Session& session_;
  IncidentLines lines_;
  bool looked_ = false;
  uint64_t revision_ = 0;
};

absl::StatusOr<int> Wait(Session& session, const WaitOptions& options) {
  const std::string what = fmt::format("wait for job {}", options.job);
  MUSTER_ASSIGN_OR_RETURN(const WaitGoal goal, ParseWaitGoal(options.goal));
  const absl::Time until = absl::Now() + options.timeout;
  std::string reference = options.job;
  std::string last = "nothing known yet";
  bool known = false;
  Incidents incidents(session);
  for (;;) {
    const auto job = session.client().GetJob(reference);
    if (job.ok()) {
      reference = std::to_string(job->id());  // a newer job of that name is another job
      known = true;
      last = fmt::format("{}: {}", spec::EnumWord(job->state()), job->reason());
      incidents.Look(*job);
      const WaitVerdict verdict = JudgeWait(goal, *job);
      if (verdict != WaitVerdict::kNotYet) {
        if (session.machine_readable()) PrintMessage(session, *job);
        if (verdict == WaitVerdict::kReached) return kExitOk;
        fmt::print(stderr, "muster: {}: it is {}\n", what, last);
        return kExitError;
      }
    } else if (job.status().code() != absl::StatusCode::kUnavailable || !known) {
      // Before the first answer an unreachable coordinator is a mistake; after it, a restart.
      return During(what, job.status());
    }
    if (absl::Now() >= until) {
      return Error(absl::StatusCode::kDeadlineExceeded, "{}: not {} within {}; it is {}", what,
                   options.goal, DurationText(options.timeout), last);
    }
    absl::SleepFor(std::min(kLook, until - absl::Now()));
  }
}

}  // namespace

absl::StatusOr<WaitGoal> ParseWaitGoal(const std::string& text) {
  if (text == "succeeded") return WaitGoal{WaitGoal::Kind::kSucceeded, 0};
  if (text == "ended") return WaitGoal{WaitGoal::Kind::kEnded, 0};
  if (text == "running") return WaitGoal{WaitGoal::Kind::kRunning, 0};
  if (text == "suspended") return WaitGoal{WaitGoal::Kind::kSuspended, 0};
  if (text.rfind("step=", 0) == 0 && text.size() > 5 && text.size() < 24 &&
      text.find_first_not_of("0123456789", 5) == std::string::npos) {
    return WaitGoal{WaitGoal::Kind::kStep, std::stoull(text.substr(5))};
  }
  return InvalidArgument("--for {}: want succeeded, running, suspended, ended or step=N", text);
}

WaitVerdict JudgeWait(const WaitGoal& goal, const v1::Job& job) {
  const bool ended = IsEnded(job.state());
  const bool succeeded = job.state() == v1::JOB_STATE_SUCCEEDED;
  bool reached = false;
  switch (goal.kind) {
    case WaitGoal::Kind::kSucceeded:
      reached = succeeded;
      break;
    case WaitGoal::Kind::kEnded:
      reached = ended;
      break;
    case WaitGoal::Kind::kRunning:
      reached = job.state() == v1::JOB_STATE_RUNNING || succeeded;
      break;
    case WaitGoal::Kind::kSuspended:
      reached = job.state() == v1::JOB_STATE_SUSPENDED;
      break;
    case WaitGoal::Kind::kStep:
      reached = job.progress().step() >= goal.step;
      break;
  }
  if (reached) return WaitVerdict::kReached;
  return ended ? WaitVerdict::kNever : WaitVerdict::kNotYet;
}

Command WaitCommand(Session* session) {
  auto options = std::make_shared<WaitOptions>();
  Command command;
  command.name = "wait";
  command.summary = "Wait for a job; exit as it does";
  command.examples =
      R"(  muster wait gpt-stdlib                          0: succeeded, 1: failed or cancelled
  muster wait 7 --for running --timeout 1m        8: not within a minute
  muster wait 7 --for step=100                    until step 100 is done
  muster wait 7 --for ended                       until it is over, however)";
  command.options = {
      {"JOB", &options->job, "id or name", true, {}},
      {"--for",
       &options->goal,
       "succeeded (default), running, suspended, ended or step=N",
       false,
       {}},
      {"--timeout", &options->timeout, "give up after this long (no limit)", false, {}}};
  command.run = [session, options] { return Wait(*session, *options); };
  return command;
}

}  // namespace muster::cli
