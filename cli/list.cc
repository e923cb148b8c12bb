#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/job_text.h"
#include "common/status.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

absl::StatusOr<int> List(Session& session, const std::string& states) {
  v1::ListJobsRequest request;
  const std::vector<std::string> words = absl::StrSplit(states, ',', absl::SkipEmpty());
  for (const std::string& word : words) {
    const auto* state = spec::FindEnumWord(v1::JobState_descriptor(), word);
    if (state == nullptr) {
      return InvalidArgument("--state {}: no such state; known: {}", word,
                             fmt::join(spec::EnumWords(v1::JobState_descriptor()), ", "));
    }
    request.add_states(static_cast<v1::JobState>(state->number()));
  }
  request.set_full(session.machine_readable());
  MUSTER_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs, session.client().ListJobs(request));
  if (session.machine_readable()) {
    PrintMessage(session, jobs);
  } else if (jobs.jobs().empty()) {
    fmt::print("no jobs; submit one with: muster submit -f configs/gpt-stdlib.yaml\n");
  } else {
    fmt::print("{}", JobTable(jobs, absl::ToUnixMillis(absl::Now()),
                              session.format() == OutputFormat::kWide));
  }
  return kExitOk;
}

}  // namespace

Command ListCommand(Session* session) {
  auto states = std::make_shared<std::string>();
  Command command;
  command.name = "list";
  command.summary = "Jobs, newest first, with the reason of their state";
  command.examples = R"(  muster list                            all jobs
  muster list --state queued,running     those in these states
  muster list -o json | jq '.jobs[] | select(.state == "queued") | .reason')";
  command.options = {{"--state",
                      states.get(),
                      "only these states: queued, starting, running, stopping, succeeded, failed, "
                      "cancelled",
                      false,
                      {}}};
  command.run = [session, states] { return List(*session, *states); };
  return command;
}

}  // namespace muster::cli
