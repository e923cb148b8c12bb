#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/plan_text.h"
#include "cli/user_name.h"
#include "common/status.h"

namespace muster::cli {
namespace {

absl::StatusOr<int> Plan(Session& session, const std::string& file) {
  v1::PlanJobRequest request;
  MUSTER_ASSIGN_OR_RETURN(*request.mutable_spec(), ReadJobFile(file));
  request.set_user(UserName());
  const auto plan = session.client().PlanJob(request);
  if (!plan.ok()) {
    return During(fmt::format("plan job \"{}\"", request.spec().name()), plan.status());
  }
  if (session.machine_readable()) {
    PrintMessage(session, *plan);
  } else {
    fmt::print("{}", PlanText(*plan, absl::ToUnixMillis(absl::Now())));
  }
  return plan->fits_now() ? kExitOk : kExitNoRoom;
}

}  // namespace

Command PlanCommand(Session* session) {
  auto file = std::make_shared<std::string>();
  Command command;
  command.name = "plan";
  command.summary = "Where and when a job would start, and why it waits";
  command.examples = R"(  muster plan job.yaml            exit code 0: would start, 7: would wait
  muster plan job.yaml -o json    the nodes with their ranks and slots
It is decided by the same code, on the cluster as it is now, that would start the job.)";
  command.options = {{"FILE", file.get(), "job file (- for standard input)", true, {}}};
  command.run = [session, file] { return Plan(*session, *file); };
  return command;
}

}  // namespace muster::cli
