#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

struct CancelOptions {
  std::string job;
  std::string reason;
  bool array = false;
  bool dry_run = false;
};

absl::StatusOr<int> Cancel(Session& session, const CancelOptions& options) {
  const std::string what = fmt::format("cancel job {}", options.job);
  const auto job = session.client().GetJob(options.job);
  if (!job.ok()) return During(what, job.status());
  v1::CancelJobRequest request;
  request.set_job_id(job->id());
  request.set_reason(options.reason);
  if (options.array && job->array_id() == 0) {
    return FailedPrecondition("{} --array: it is not part of an array; leave --array out", what);
  }
  request.set_array(options.array);
  request.set_validate_only(options.dry_run);
  const auto response = session.client().CancelJob(request);
  if (!response.ok()) {
    return During(options.array ? fmt::format("cancel array {}", job->array_id())
                                : fmt::format("cancel job {}", job->id()),
                  response.status());
  }
  if (session.machine_readable()) {
    PrintMessage(session, response->job());
  } else if (options.array) {
    fmt::print("every job of array {} {}\n", job->array_id(),
               options.dry_run ? "could be cancelled; nothing was done"
                               : "is being cancelled, but for those that have ended");
  } else if (options.dry_run) {
    fmt::print("job {} ({}) could be cancelled; nothing was done\n", job->id(), job->spec().name());
  } else {
    fmt::print("job {} ({}) is being cancelled: {}\n", job->id(), job->spec().name(),
               spec::EnumWord(response->job().state()));
  }
  return kExitOk;
}

}  // namespace

Command CancelCommand(Session* session) {
  auto options = std::make_shared<CancelOptions>();
  Command command;
  command.name = "cancel";
  command.summary = "Stop a job; its checkpoints stay";
  command.examples = R"(  muster cancel gpt-stdlib --reason "wrong data"
  muster cancel 7 && muster wait 7        until it is gone
  muster cancel 12 --array                every job of the array that job 12 belongs to)";
  command.options = {{"JOB", &options->job, "id or name", true, {}},
                     {"--reason", &options->reason, "why, for whoever looks later", false, {}},
                     {"--array", &options->array, "every job of its array", false, {}},
                     {"--dry-run", &options->dry_run, "check only", false, {}}};
  command.run = [session, options] { return Cancel(*session, *options); };
  return command;
}

}  // namespace muster::cli
