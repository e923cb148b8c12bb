#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"
#include "spec/data_sizes.h"
#include "spec/mesh.h"
#include "spec/yaml.h"

namespace muster::cli {
namespace {

absl::StatusOr<int> Validate(const Session& session, const std::string& file) {
  MUSTER_ASSIGN_OR_RETURN(const v1::JobSpec spec, ReadJobFile(file));
  switch (session.format()) {
    case OutputFormat::kYaml:
      fmt::print("{}", spec::JobSpecToYaml(spec));
      break;
    case OutputFormat::kJson:
      fmt::print("{}", spec::JobSpecToJson(spec));
      break;
    case OutputFormat::kTable:
    case OutputFormat::kWide:
      fmt::print("{}: job \"{}\" is valid: {} ranks, {}\n", file, spec.name(),
                 spec::RankCount(spec), spec::MeshText(spec));
      if (const std::string sizes = spec::DataSizesText(spec); !sizes.empty()) {
        fmt::print("usable sizes: {}\n", sizes);
      }
      break;
  }
  return kExitOk;
}

}  // namespace

Command ValidateCommand(Session* session) {
  auto file = std::make_shared<std::string>();
  Command command;
  command.name = "validate";
  command.summary = "Check a job file, without a coordinator";
  command.examples = R"(  muster validate job.yaml            every problem, with its line
  muster validate job.yaml -o yaml    the complete job, defaults filled in)";
  command.options = {{"FILE", file.get(), "job file (- for standard input)", true, {}}};
  command.run = [session, file] { return Validate(*session, *file); };
  return command;
}

}  // namespace muster::cli
