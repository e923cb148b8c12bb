#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"
#include "common/terminal.h"
#include "spec/mesh.h"

namespace muster::cli {
namespace {

struct ScaleOptions {
  std::string job;
  std::vector<std::string> axes;
  bool dry_run = false;
};

// "data=8" → the axis data of size 8.
absl::StatusOr<v1::Axis> ParseAxis(const std::string& text) {
  const size_t equals = text.find('=');
  uint32_t size = 0;
  const char* end = text.data() + text.size();
  const char* digits = text.data() + std::min(equals, text.size() - 1) + 1;
  const auto [stop, error] = std::from_chars(digits, end, size);
  if (equals == std::string::npos || equals == 0 || error != std::errc() || stop != end ||
      size == 0) {
    return InvalidArgument("\"{:.60}\" is not an axis and its size; write data=8", text);
  }
  v1::Axis axis;
  axis.set_name(text.substr(0, equals));
  axis.set_size(size);
  return axis;
}

absl::StatusOr<int> Scale(Session& session, const ScaleOptions& options) {
  const std::string what = fmt::format("scale job {}", options.job);
  v1::ScaleJobRequest request;
  for (const std::string& text : options.axes) {
    const auto axis = ParseAxis(text);
    if (!axis.ok()) return During(what, axis.status());
    *request.add_mesh() = *axis;
  }
  const auto job = session.client().GetJob(options.job);
  if (!job.ok()) return During(what, job.status());
  request.set_job_id(job->id());
  request.set_validate_only(options.dry_run);
  const auto response = session.client().ScaleJob(request);
  if (!response.ok()) {
    return During(fmt::format("scale job {}", job->id()), response.status());
  }
  const v1::Job& now = response->job();
  if (session.machine_readable()) {
    PrintMessage(session, now);
  } else if (options.dry_run) {
    fmt::print("job {} ({}) could be scaled; nothing was done\n", job->id(), job->spec().name());
  } else {
    fmt::print("job {} ({}) will have {} ranks, {}{}{}\n", now.id(), now.spec().name(),
               spec::RankCount(now.spec()), spec::MeshText(now.spec()),
               now.reason().empty() ? "" : "; ", Printable(now.reason()));
  }
  return kExitOk;
}

}  // namespace

Command ScaleCommand(Session* session) {
  auto options = std::make_shared<ScaleOptions>();
  Command command;
  command.name = "scale";
  command.summary = "Give a job's mesh other sizes";
  command.examples = R"(  muster scale gpt-stdlib data=8
  muster scale 7 data=4 tensor=2 --dry-run    only ask whether it could be
Axes that are not named keep their size. A running job saves, stops and goes on with the new sizes
from where it was.)";
  command.options = {{"JOB", &options->job, "id or name", true, {}},
                     {"AXIS", &options->axes, "axis=size: new sizes of axes the job has", true, {}},
                     {"--dry-run", &options->dry_run, "check only", false, {}}};
  command.run = [session, options] { return Scale(*session, *options); };
  return command;
}

}  // namespace muster::cli
