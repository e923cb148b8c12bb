#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/job_text.h"

namespace muster::cli {
namespace {

absl::StatusOr<int> Describe(Session& session, const std::string& reference) {
  const auto job = session.client().GetJob(reference);
  if (!job.ok()) return During(fmt::format("describe job {}", reference), job.status());
  if (session.machine_readable()) {
    PrintMessage(session, *job);
  } else {
    fmt::print("{}", JobDescription(*job, absl::ToUnixMillis(absl::Now())));
  }
  return kExitOk;
}

}  // namespace

Command DescribeCommand(Session* session) {
  auto job = std::make_shared<std::string>();
  Command command;
  command.name = "describe";
  command.summary = "All about one job: placement, attempts, causes, checkpoints, goodput";
  command.examples =
      R"(  muster describe gpt-stdlib              by name: the newest job of that name
  muster describe 7                       by id
  muster describe 7 -o json | jq '.attempts[].cause.text')";
  command.options = {{"JOB", job.get(), "id or name", true, {}}};
  command.run = [session, job] { return Describe(*session, *job); };
  return command;
}

}  // namespace muster::cli
