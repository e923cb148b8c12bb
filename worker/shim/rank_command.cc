#include "worker/shim/rank_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "common/status.h"
#include "spec/checkpoints.h"
#include "spec/yaml.h"
#include "worker/shim/folder.h"

namespace muster::worker::shim {
namespace {

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

}  // namespace

RankCommand CommandOf(const launch::Launch& launch, const std::string& folder) {
  const v1::StartRanks& start = launch.order.start();
  const v1::JobSpec& spec = launch.gang.spec();
  RankCommand command;
  command.working_dir = folder;
  if (spec.has_program()) {
    const v1::ProgramSpec& program = spec.program();
    command.arguments.assign(program.command().begin(), program.command().end());
    if (!program.working_dir().empty()) command.working_dir = program.working_dir();
    return command;
  }
  command.arguments = {launch.order.trainer_path(),
                       "run",
                       "--config",
                       folder + "/" + kJobFile,
                       "--resume",
                       folder + "/" + kResumeFile,
                       "--checkpoints",
                       spec.checkpoint().path() + "/" + start.job_uid(),
                       "--attempt",
                       std::to_string(start.attempt())};
  return command;
}

std::string FindProgram(const std::string& program, const launch::Environment& environment) {
  if (program.find('/') != std::string::npos) return program;
  std::string path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& line : environment) {
    if (line.starts_with("PATH=")) path = line.substr(5);
  }
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return program;
}

absl::Status WriteJobFiles(const launch::Launch& launch, const std::string& folder) {
  const v1::JobSpec& spec = launch.gang.spec();
  if (!muster::spec::KeepsCheckpoints(spec)) return absl::OkStatus();
  MUSTER_RETURN_IF_ERROR(ReplaceFile(folder + "/" + kJobFile, muster::spec::JobSpecToJson(spec)));
  nlohmann::json resume = nlohmann::json::array();
  for (const v1::CheckpointRef& checkpoint : launch.gang.resume()) {
    resume.push_back({{"step", checkpoint.step()},
                      {"attempt", checkpoint.attempt()},
                      {"manifest_sha256", Hex(checkpoint.manifest_sha256())}});
  }
  return ReplaceFile(folder + "/" + kResumeFile, resume.dump());
}

}  // namespace muster::worker::shim
