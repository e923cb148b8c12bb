#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/job_text.h"
#include "common/status.h"
#include "common/terminal.h"

namespace muster::cli {
namespace {

absl::StatusOr<int> Plan(Session& session, const std::string& file) {
  v1::PlanJobRequest request;
  MUSTER_ASSIGN_OR_RETURN(*request.mutable_spec(), ReadJobFile(file));
  const auto plan = session.client().PlanJob(request);
  if (!plan.ok()) {
    return During(fmt::format("plan job \"{}\"", request.spec().name()), plan.status());
  }
  if (session.machine_readable()) {
    PrintMessage(session, *plan);
  } else if (plan->fits_now()) {
    fmt::print("would start now: {}\n  because {}\n", Printable(PlacementText(plan->ranks())),
               Printable(plan->reason()));
  } else {
    fmt::print("would wait: {}\n", Printable(plan->reason()));
  }
  return plan->fits_now() ? kExitOk : kExitNoRoom;
}

}  // namespace

Command PlanCommand(Session* session) {
  auto file = std::make_shared<std::string>();
  Command command;
  command.name = "plan";
  command.summary = "Where a job would start now, or why it would wait";
  command.examples = R"(  muster plan job.yaml            exit code 0: would start, 7: would wait
  muster plan job.yaml -o json    every rank with its node and slots)";
  command.options = {{"FILE", file.get(), "job file (- for standard input)", true, {}}};
  command.run = [session, file] { return Plan(*session, *file); };
  return command;
}

}  // namespace muster::cli
