#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/job_text.h"
#include "cli/progress_line.h"
#include "cli/proto_json.h"
#include "cli/watch_job.h"
#include "common/duration.h"
#include "common/status.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

constexpr absl::Duration kGiveUp = absl::Minutes(10);
constexpr absl::Duration kProgressEvery = absl::Seconds(5);  // where there is no terminal

char detach_message[256];

extern "C" void OnInterrupt(int) {
  const ssize_t ignored = write(STDERR_FILENO, detach_message, strlen(detach_message));
  static_cast<void>(ignored);
  _exit(kExitDetached);
}

class Watch {
 public:
  Watch(Session& session, const v1::Job& job, uint64_t revision)
      : session_(session), job_id_(job.id()), revision_(revision), line_(stdout) {}

  absl::StatusOr<int> Run() {
    for (;;) {
      v1::WatchJobsRequest request;
      request.set_job_id(job_id_);
      request.set_from_revision(revision_);
      request.set_progress(true);
      const absl::Status status = session_.client().WatchJobs(
          request, [this](const v1::JobEvent& event) { return OnEvent(event); });
      if (status.code() == absl::StatusCode::kOutOfRange) {
        line_.Clear();
        fmt::print(stderr, "muster: some events are no longer remembered; going on from now\n");
        revision_ = 0;
      } else if (!status.ok() && !IsLost(status)) {
        return During(fmt::format("watch job {}", job_id_), status);
      } else if (!ended_) {
        SayLost(status);
      }
      // The job itself says whether it has ended; the stream only hints.
      const auto job = session_.client().GetJob(std::to_string(job_id_));
      if (job.ok()) {
        SayBack();
        if (IsEnded(job->state())) return Finish(*job);
        if (revision_ == 0) revision_ = job->revision();
      } else if (job.status().code() != absl::StatusCode::kUnavailable ||
                 (lost_since_ != absl::InfinitePast() && absl::Now() - lost_since_ > kGiveUp)) {
        return During(fmt::format("watch job {}", job_id_), job.status());
      }
      absl::SleepFor(absl::Milliseconds(200));
    }
  }

 private:
  static bool IsLost(const absl::Status& status) {
    return status.code() == absl::StatusCode::kUnavailable ||
           status.code() == absl::StatusCode::kCancelled ||
           status.code() == absl::StatusCode::kInternal;  // a connection torn in mid-message
  }

  void SayLost(const absl::Status& status) {
    if (status.ok() || lost_since_ != absl::InfinitePast()) return;
    lost_since_ = absl::Now();
    line_.Clear();
    fmt::print(stderr, "muster: lost the coordinator; the job runs on, trying again\n");
  }

  void SayBack() {
    if (lost_since_ == absl::InfinitePast()) return;
    fmt::print(stderr, "muster: the coordinator is back after {}\n",
               DurationText(absl::Now() - lost_since_));
    lost_since_ = absl::InfinitePast();
  }

  bool OnEvent(const v1::JobEvent& event) {
    SayBack();
    revision_ = std::max(revision_, event.revision());
    if (session_.format() == OutputFormat::kJson) {
      fmt::print("{}\n", JsonText(MessageJson(event), -1));
    } else if (event.kind() == v1::EVENT_KIND_PROGRESS) {
      ShowProgress(event);
    } else {
      line_.Clear();
      fmt::print("{}\n", EventLine(event));
    }
    std::fflush(stdout);
    ended_ = event.kind() == v1::EVENT_KIND_ENDED;
    return !ended_;
  }

  void ShowProgress(const v1::JobEvent& event) {
    line_.Show(ProgressText(event.progress()));
    const absl::Time now = absl::Now();
    if (line_.live() || now - progress_shown_ < kProgressEvery) return;
    progress_shown_ = now;
    fmt::print("{}  {:<13} {}\n", ClockText(event.time_unix_ms()), "progress",
               ProgressText(event.progress()));
  }

  int Finish(const v1::Job& job) {
    line_.Clear();
    if (session_.format() != OutputFormat::kJson) fmt::print("{}\n", JobSummary(job));
    return ExitCodeOf(job.state());
  }

  Session& session_;
  const uint64_t job_id_;
  uint64_t revision_;
  LiveLine line_;
  bool ended_ = false;
  absl::Time lost_since_ = absl::InfinitePast();
  absl::Time progress_shown_ = absl::InfinitePast();
};

absl::StatusOr<int> WatchCommandRun(Session& session, const std::string& reference) {
  const auto job = session.client().GetJob(reference);
  if (!job.ok()) return During(fmt::format("watch job {}", reference), job.status());
  if (session.format() != OutputFormat::kJson) {
    fmt::print("job {} ({}) {}: {}\n", job->id(), job->spec().name(), spec::EnumWord(job->state()),
               Printable(job->reason()));
  }
  if (IsEnded(job->state())) {
    if (session.format() != OutputFormat::kJson) fmt::print("{}\n", JobSummary(*job));
    return ExitCodeOf(job->state());
  }
  return WatchJob(session, *job, job->revision());
}

}  // namespace

void DetachOnInterrupt(const v1::Job& job) {
  const std::string text = fmt::format(
      "\nmuster: detached; the job goes on. Look again with: muster watch {}\n", job.id());
  text.copy(detach_message, sizeof(detach_message) - 1);
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigaction(SIGINT, &action, nullptr);
}

absl::StatusOr<int> WatchJob(Session& session, const v1::Job& job, uint64_t from_revision) {
  DetachOnInterrupt(job);
  return Watch(session, job, from_revision).Run();
}

Command WatchCommand(Session* session) {
  auto job = std::make_shared<std::string>();
  Command command;
  command.name = "watch";
  command.summary = "Follow a job to its end; Ctrl-C detaches";
  command.examples = R"(  muster watch gpt-stdlib         a line per event, and one that moves
  muster watch 7 -o json          an event a line, for programs
Goes on after a restart of the coordinator. Exit code: 0 the job succeeded, 1 it did not.)";
  command.options = {{"JOB", job.get(), "id or name", true, {}}};
  command.run = [session, job] { return WatchCommandRun(*session, *job); };
  return command;
}

}  // namespace muster::cli
