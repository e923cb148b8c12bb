#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
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

struct ListOptions {
  std::string states;
  std::string queue;
  std::string user;
};

// The coordinator knows filters by state only.
void KeepMatching(const ListOptions& options, v1::ListJobsResponse* jobs) {
  auto* list = jobs->mutable_jobs();
  list->erase(std::remove_if(list->begin(), list->end(),
                             [&](const v1::Job& job) {
                               return (!options.queue.empty() &&
                                       job.spec().schedule().queue() != options.queue) ||
                                      (!options.user.empty() && job.user() != options.user);
                             }),
              list->end());
}

absl::StatusOr<int> List(Session& session, const ListOptions& options) {
  v1::ListJobsRequest request;
  const std::vector<std::string> words = absl::StrSplit(options.states, ',', absl::SkipEmpty());
  for (const std::string& word : words) {
    const auto* state = spec::FindEnumWord(v1::JobState_descriptor(), word);
    if (state == nullptr) {
      return InvalidArgument("--state {}: no such state; known: {}", word,
                             fmt::join(spec::EnumWords(v1::JobState_descriptor()), ", "));
    }
    request.add_states(static_cast<v1::JobState>(state->number()));
  }
  request.set_full(session.machine_readable());
  MUSTER_ASSIGN_OR_RETURN(v1::ListJobsResponse jobs, session.client().ListJobs(request));
  const bool any = !jobs.jobs().empty();
  KeepMatching(options, &jobs);
  if (session.machine_readable()) {
    PrintMessage(session, jobs);
  } else if (any && jobs.jobs().empty()) {
    fmt::print("no such jobs\n");
  } else if (!any) {
    fmt::print("no jobs; submit one with: muster submit -f configs/gpt-stdlib.yaml\n");
  } else {
    fmt::print("{}", JobTable(jobs, absl::ToUnixMillis(absl::Now()),
                              session.format() == OutputFormat::kWide));
  }
  return kExitOk;
}

}  // namespace

Command ListCommand(Session* session) {
  auto options = std::make_shared<ListOptions>();
  Command command;
  command.name = "list";
  command.summary = "Jobs, newest first, with the reason of their state";
  command.examples = R"(  muster list                            all jobs
  muster list --state queued,running     those in these states
  muster list --queue research -o wide   one queue's, with user, priority and goodput
  muster list -o json | jq '.jobs[] | select(.state == "queued") | .reason')";
  command.options = {{"--state",
                      &options->states,
                      "only these states: queued, starting, running, stopping, succeeded, failed, "
                      "cancelled, suspended",
                      false,
                      {}},
                     {"--queue", &options->queue, "only jobs of this queue", false, {}},
                     {"--user", &options->user, "only jobs of this user", false, {}}};
  command.run = [session, options] { return List(*session, *options); };
  return command;
}

}  // namespace muster::cli
