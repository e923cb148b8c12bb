#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "cli/commands.h"
#include "cli/user_name.h"
#include "cli/watch_job.h"
#include "common/status.h"
#include "spec/mesh.h"
#include "spec/yaml.h"

namespace muster::cli {
namespace {

struct SubmitOptions {
  std::string file;
  std::string file_word;  // the same without -f
  bool watch = false;
  bool dry_run = false;
};

// "submitted 10 jobs: 12-21 (sweep-0 … sweep-9)".
std::string ArrayText(const v1::SubmitJobResponse& response, const std::string& name) {
  const uint64_t first = response.job().id();
  const uint32_t count = response.array_jobs();
  if (count == 1) return fmt::format("submitted 1 job: {} ({}-0)", first, name);
  return fmt::format("submitted {} jobs: {}-{} ({}-0 … {}-{})", count, first, first + count - 1,
                     name, name, count - 1);
}

absl::StatusOr<int> Submit(Session& session, const SubmitOptions& options) {
  if (options.file.empty() == options.file_word.empty()) {
    return InvalidArgument("submit: give one job file, for example: muster submit -f job.yaml");
  }
  MUSTER_ASSIGN_OR_RETURN(v1::JobSpec spec,
                          ReadJobFile(options.file.empty() ? options.file_word : options.file));
  const std::string what = fmt::format("submit job \"{}\"", spec.name());
  if (options.watch && spec.schedule().has_array()) {
    return InvalidArgument(
        "{} --watch: an array is many jobs; leave --watch out, then: muster list", what);
  }
  v1::SubmitJobRequest request;
  request.set_validate_only(options.dry_run);
  request.set_user(UserName());
  *request.mutable_spec() = std::move(spec);
  const auto response = session.client().SubmitJob(request);
  if (!response.ok()) return During(what, response.status());
  const v1::Job& job = response->job();
  if (session.machine_readable() && !options.watch) {
    PrintMessage(session, job);
  } else if (options.dry_run) {
    fmt::print(
        "job \"{}\" is valid and would be taken{}; nothing was submitted\n", request.spec().name(),
        response->array_jobs() > 0 ? fmt::format(" as {} jobs", response->array_jobs()) : "");
  } else if (response->array_jobs() > 0) {
    fmt::print("{}\n", ArrayText(*response, request.spec().name()));
  } else {
    fmt::print("job {} ({}) submitted: {} ranks, {}{}{}\n", job.id(), job.spec().name(),
               spec::RankCount(job.spec()), spec::MeshText(job.spec()),
               job.reason().empty() ? "" : "; ", job.reason());
  }
  if (!options.watch || options.dry_run) return kExitOk;
  return WatchJob(session, job, job.revision() == 0 ? 0 : job.revision() - 1);
}

}  // namespace

Command SubmitCommand(Session* session) {
  auto options = std::make_shared<SubmitOptions>();
  Command command;
  command.name = "submit";
  command.summary = "Submit a job";
  command.examples = R"(  muster submit -f configs/gpt-stdlib.yaml           submit and return
  muster submit -f configs/gpt-stdlib.yaml --watch   and follow it to its end
  muster submit -f job.yaml --dry-run                let the coordinator check it only
  muster submit -f configs/array-sweep.yaml          an array: many jobs at once
Paths in the job file are taken from the folder you are in.)";
  command.options = {
      {"-f,--file", &options->file, "job file (- for standard input)", false, {}},
      {"FILE", &options->file_word, "the same, without -f", false, {}},
      {"-w,--watch", &options->watch, "follow the job to its end; exit as it does", false, {}},
      {"--dry-run", &options->dry_run, "check everything, submit nothing", false, {}},
  };
  command.run = [session, options] { return Submit(*session, *options); };
  return command;
}

}  // namespace muster::cli
