#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/progress_line.h"
#include "cli/save_verdict.h"
#include "cli/user_name.h"
#include "cli/watch_job.h"
#include "common/duration.h"
#include "common/status.h"
#include "common/terminal.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(250);

struct SaveOptions {
  std::string job;
  std::string reason;
  bool wait = false;
  absl::Duration timeout = absl::InfiniteDuration();
  bool dry_run = false;
};

class WaitForSave {
 public:
  WaitForSave(Session& session, const v1::Job& job, const SaveAsked& asked)
      : session_(session), job_id_(job.id()), asked_(asked), line_(stderr) {}

  absl::StatusOr<int> Run(absl::Duration timeout) {
    const std::string what = fmt::format("save job {}", job_id_);
    const absl::Time until = absl::Now() + timeout;
    for (;;) {
      const auto job = session_.client().GetJob(std::to_string(job_id_));
      if (job.ok()) {
        SayBack();
        const SaveVerdict verdict = JudgeSave(asked_, *job);
        if (verdict.kind == SaveVerdict::Kind::kSaved) return Saved(*job, verdict.saved);
        if (verdict.kind == SaveVerdict::Kind::kNever) {
          line_.Clear();
          fmt::print(stderr, "muster: {}: {}\n", what, verdict.why);
          return kExitError;
        }
        Show(*job);
      } else if (job.status().code() == absl::StatusCode::kUnavailable) {
        SayLost();  // the order is on record
      } else {
        return During(what, job.status());
      }
      if (absl::Now() >= until) {
        line_.Clear();
        return Error(absl::StatusCode::kDeadlineExceeded,
                     "{}: not committed within {}; it still saves: muster watch {}", what,
                     DurationText(timeout), job_id_);
      }
      absl::SleepFor(std::min(kLook, until - absl::Now()));
    }
  }

 private:
  void Show(const v1::Job& job) {
    for (const v1::SaveTrouble& trouble : job.save_troubles()) {
      if (!troubles_said_.insert(trouble.text()).second) continue;
      line_.Clear();
      fmt::print(stderr, "muster: {}\n", Printable(trouble.text()));
    }
    const absl::Duration since = absl::Now() - absl::FromUnixMillis(asked_.unix_ms);
    line_.Show(fmt::format("job {} saves, asked {} s ago  {}", job_id_, absl::ToInt64Seconds(since),
                           ProgressText(job.progress())));
  }

  int Saved(const v1::Job& job, const v1::CheckpointRef& ref) {
    line_.Clear();
    if (session_.machine_readable()) {
      PrintMessage(session_, ref);
      return kExitOk;
    }
    const int64_t took_ms = std::max<int64_t>(0, ref.time_unix_ms() - asked_.unix_ms);
    fmt::print("job {} ({}) saved step {}: {} on storage, {:.1f} s after it was asked\n", job.id(),
               job.spec().name(), ref.step(), BytesText(ref.bytes()),
               static_cast<double>(took_ms) / 1e3);
    fmt::print("look at it with: muster ckpt show {}@{}\n", job.id(), ref.step());
    return kExitOk;
  }

  void SayLost() {
    if (std::exchange(lost_, true)) return;
    line_.Clear();
    fmt::print(stderr, "muster: lost the coordinator; the order is on record, trying again\n");
  }

  void SayBack() {
    if (!std::exchange(lost_, false)) return;
    fmt::print(stderr, "muster: the coordinator is back\n");
  }

  Session& session_;
  const uint64_t job_id_;
  const SaveAsked asked_;
  LiveLine line_;
  std::set<std::string> troubles_said_;
  bool lost_ = false;
};

absl::StatusOr<int> Save(Session& session, const SaveOptions& options) {
  if (!options.wait && options.timeout != absl::InfiniteDuration()) {
    return InvalidArgument("save job {}: --timeout says how long to wait; add --wait", options.job);
  }
  const auto job = session.client().GetJob(options.job);
  if (!job.ok()) return During(fmt::format("save job {}", options.job), job.status());
  v1::ControlJobRequest request;
  request.set_job_id(job->id());
  request.set_action(v1::JOB_ACTION_SAVE);
  request.set_reason(options.reason);
  request.set_user(UserName());
  request.set_validate_only(options.dry_run);
  const auto response = session.client().ControlJob(request);
  if (!response.ok()) return During(fmt::format("save job {}", job->id()), response.status());
  const v1::Job& now = response->job();
  const std::optional<SaveAsked> asked = NewestSaveAsked(now);
  if (options.wait && !options.dry_run && asked.has_value()) {
    DetachOnInterrupt(now);
    return WaitForSave(session, now, *asked).Run(options.timeout);
  }
  if (session.machine_readable()) {
    PrintMessage(session, now);
  } else if (options.dry_run) {
    fmt::print("save of job {} ({}) is possible; nothing was done\n", now.id(), now.spec().name());
  } else {
    fmt::print("job {} ({}) is told to save to storage; see it committed: muster watch {}\n",
               now.id(), now.spec().name(), now.id());
  }
  return kExitOk;
}

}  // namespace

Command SaveCommand(Session* session) {
  auto options = std::make_shared<SaveOptions>();
  Command command;
  command.name = "save";
  command.summary = "Have a running job saved to storage now; it goes on";
  command.examples =
      R"(  muster save gpt-stdlib --reason "before the maintenance"
  muster save 7 --wait                   return when it is committed
  muster save 7 --wait --timeout 2m      8: not within two minutes
It saves after the step it is in, beside training, whatever checkpoint.every_steps says, and tries
again while storage refuses. If the attempt fails first, --wait says so: 1. Ctrl-C leaves the job
alone. To stop it as well: muster suspend JOB)";
  command.options = {
      {"JOB", &options->job, "id or name", true, {}},
      {"--wait", &options->wait, "until a step that is no older is committed", false, {}},
      {"--timeout",
       &options->timeout,
       "with --wait: give up after this long (no limit)",
       false,
       {}},
      {"--reason", &options->reason, "why, for whoever looks later", false, {}},
      {"--dry-run", &options->dry_run, "check only", false, {}}};
  command.run = [session, options] { return Save(*session, *options); };
  return command;
}

}  // namespace muster::cli
