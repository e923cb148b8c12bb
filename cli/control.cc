// hold, release, suspend, resume, requeue: what a person decides about a job that exists.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

struct ControlOptions {
  std::string job;
  std::string reason;
  bool dry_run = false;
};

struct Verb {
  const char* name;
  v1::JobAction action;
  const char* summary;
  const char* examples;
};

absl::StatusOr<int> Control(Session& session, const ControlOptions& options, const Verb& verb) {
  const std::string what = fmt::format("{} job {}", verb.name, options.job);
  const auto job = session.client().GetJob(options.job);
  if (!job.ok()) return During(what, job.status());
  v1::ControlJobRequest request;
  request.set_job_id(job->id());
  request.set_action(verb.action);
  request.set_reason(options.reason);
  request.set_validate_only(options.dry_run);
  const auto response = session.client().ControlJob(request);
  if (!response.ok()) {
    return During(fmt::format("{} job {}", verb.name, job->id()), response.status());
  }
  const v1::Job& now = response->job();
  if (session.machine_readable()) {
    PrintMessage(session, now);
  } else if (options.dry_run) {
    fmt::print("{} of job {} ({}) is possible; nothing was done\n", verb.name, job->id(),
               job->spec().name());
  } else {
    fmt::print("job {} ({}) is {}{}{}{}\n", now.id(), now.spec().name(),
               spec::EnumWord(now.state()), now.held() ? ", on hold" : "",
               now.reason().empty() ? "" : ": ", Printable(now.reason()));
  }
  return kExitOk;
}

Command ControlCommand(Session* session, const Verb& verb) {
  auto options = std::make_shared<ControlOptions>();
  Command command;
  command.name = verb.name;
  command.summary = verb.summary;
  command.examples = verb.examples;
  command.options = {{"JOB", &options->job, "id or name", true, {}},
                     {"--reason", &options->reason, "why, for whoever looks later", false, {}},
                     {"--dry-run", &options->dry_run, "check only", false, {}}};
  command.run = [session, options, verb] { return Control(*session, *options, verb); };
  return command;
}

}  // namespace

Command HoldCommand(Session* session) {
  return ControlCommand(
      session, {"hold", v1::JOB_ACTION_HOLD, "Do not start a job (again) until it is released",
                R"(  muster hold sweep-3 --reason "wait for the new data"
What runs, runs on; a job on hold holds up nobody. Undo: muster release JOB)"});
}

Command ReleaseCommand(Session* session) {
  return ControlCommand(session, {"release", v1::JOB_ACTION_RELEASE, "Let a job on hold start",
                                  R"(  muster release sweep-3)"});
}

Command SuspendCommand(Session* session) {
  return ControlCommand(session, {"suspend", v1::JOB_ACTION_SUSPEND,
                                  "Save a job and give its slots back until it is resumed",
                                  R"(  muster suspend gpt-stdlib --reason "demo needs the nodes"
  muster wait gpt-stdlib --for suspended
It goes on from what it saved: muster resume JOB)"});
}

Command ResumeCommand(Session* session) {
  return ControlCommand(session,
                        {"resume", v1::JOB_ACTION_RESUME, "Put a suspended job back into its queue",
                         R"(  muster resume gpt-stdlib)"});
}

Command RequeueCommand(Session* session) {
  return ControlCommand(session, {"requeue", v1::JOB_ACTION_REQUEUE,
                                  "Save a job, give its slots back and queue it again",
                                  R"(  muster requeue gpt-stdlib --reason "others first"
It loses its claim to its former slots and starts again when its turn comes.)"});
}

}  // namespace muster::cli
