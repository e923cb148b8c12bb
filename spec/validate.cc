#include "spec/validate.h"

#include <fmt/format.h>

#include "common/status.h"
#include "spec/checkpoints.h"
#include "spec/data_sizes.h"
#include "spec/exact_duration.h"
#include "spec/mesh.h"
#include "spec/validate_schedule.h"
#include "spec/validate_train.h"

namespace muster::spec {
namespace {

constexpr int kAxesMax = 8;
constexpr uint64_t kRanksMax = 1'000'000;
constexpr uint32_t kSlotsMax = 1024;
constexpr size_t kPathMax = 4096;
constexpr uint32_t kRamParityMax = 16;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsAxisName(const std::string& name) {
  if (name.empty() || name.size() > 32 || !IsLower(name[0])) return false;
  for (const char c : name) {
    if (!IsLower(c) && !IsDigit(c) && c != '_') return false;
  }
  return true;
}

bool IsEnvName(const std::string& name) {
  if (name.empty() || IsDigit(name[0])) return false;
  for (const char c : name) {
    if (!IsLower(c) && !IsDigit(c) && !(c >= 'A' && c <= 'Z') && c != '_') return false;
  }
  return true;
}

void CheckPath(const std::string& field, const std::string& path, std::vector<Problem>* problems) {
  if (path.size() > kPathMax) {
    problems->push_back(
        {field, fmt::format("{} bytes; a path is at most {}", path.size(), kPathMax)});
  } else if (HasControlCharacter(path)) {
    problems->push_back({field, "holds a control character; remove it"});
  }
}

void FindMeshProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  if (spec.mesh_size() == 0) {
    problems->push_back({"mesh", "missing; say how many ranks, for example {data: 2, tensor: 1}"});
  }
  if (spec.mesh_size() > kAxesMax) {
    problems->push_back({"mesh", fmt::format("{} axes; at most {}", spec.mesh_size(), kAxesMax)});
    return;
  }
  for (int i = 0; i < spec.mesh_size(); ++i) {
    const v1::Axis& axis = spec.mesh(i);
    if (!IsAxisName(axis.name())) {
      problems->push_back({"mesh", fmt::format("\"{:.40}\" is not an axis name; use a-z 0-9 _, a "
                                               "letter first, at most 32",
                                               axis.name())});
      continue;
    }
    const std::string field = "mesh." + axis.name();
    for (int k = 0; k < i; ++k) {
      if (spec.mesh(k).name() == axis.name()) {
        problems->push_back({field, "named twice; give each axis its own name"});
      }
    }
    if (axis.size() == 0) problems->push_back({field, "size 0; give at least 1"});
    if (spec.has_train() && axis.name() != "data" && axis.name() != "tensor") {
      problems->push_back({field,
                           "the native trainer knows only the axes data and tensor; remove "
                           "it"});
    }
  }
  if (const uint64_t ranks = RankCount(spec); ranks > kRanksMax) {
    problems->push_back(
        {"mesh", fmt::format("{} or more ranks; at most {}, lower an axis", ranks, kRanksMax)});
  }
}

void FindProgramProblems(const v1::ProgramSpec& program, std::vector<Problem>* problems) {
  if (program.command().empty() || program.command(0).empty()) {
    problems->push_back({"program.command",
                         "missing; give the program and its arguments, for example [python3, "
                         "train.py]"});
  }
  for (const std::string& word : program.command()) {
    if (word.find('\0') != std::string::npos) {
      problems->push_back({"program.command", "holds a zero byte; remove it"});
    }
  }
  for (int i = 0; i < program.env_size(); ++i) {
    const v1::EnvVar& variable = program.env(i);
    if (!IsEnvName(variable.name())) {
      problems->push_back({"program.env", fmt::format("\"{:.40}\" is not a variable name; use A-Z "
                                                      "a-z 0-9 _, no digit first",
                                                      variable.name())});
    } else if (variable.name().rfind("MUSTER_", 0) == 0) {
      problems->push_back({"program.env", fmt::format("{} is set by muster; choose another name",
                                                      variable.name())});
    }
    if (variable.value().find('\0') != std::string::npos) {
      problems->push_back(
          {"program.env",
           fmt::format("the value of {} holds a zero byte; remove it", variable.name())});
    }
    for (int k = 0; k < i; ++k) {
      if (program.env(k).name() == variable.name()) {
        problems->push_back(
            {"program.env", fmt::format("{} is set twice; keep one", variable.name())});
      }
    }
  }
  CheckPath("program.working_dir", program.working_dir(), problems);
}

// Beyond what the defaults say.
bool AsksForCheckpoints(const v1::CheckpointSpec& checkpoint) {
  return checkpoint.every_steps() > 0 || checkpoint.has_every() ||
         checkpoint.keep_every_steps() > 0 || checkpoint.keep_best() > 0 ||
         checkpoint.ram_every_steps() > 0 || checkpoint.ram_parity() > 0 ||
         !checkpoint.init_from().empty();
}

void FindCheckpointProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  const v1::CheckpointSpec& checkpoint = spec.checkpoint();
  CheckPath("checkpoint.path", checkpoint.path(), problems);
  CheckPath("checkpoint.init_from", checkpoint.init_from(), problems);
  if (checkpoint.has_every()) {
    std::string problem = OutsideText(checkpoint.every(), 1, kDurationSecondsMax);
    if (!problem.empty()) problems->push_back({"checkpoint.every", std::move(problem)});
  }
  if (spec.has_program() && checkpoint.path().empty() && AsksForCheckpoints(checkpoint)) {
    problems->push_back({"checkpoint.path", "missing; give a folder every node can reach"});
  }
  if (KeepsCheckpoints(spec) && checkpoint.keep_every_steps() > 0 &&
      checkpoint.every_steps() == 0) {
    problems->push_back({"checkpoint.keep_every_steps",
                         fmt::format("{}, but no step is saved for its number; give every_steps, "
                                     "a divisor of it",
                                     checkpoint.keep_every_steps())});
  }
  if (checkpoint.keep_best() > 0 && checkpoint.keep() == 0) {
    problems->push_back({"checkpoint.keep_best",
                         fmt::format("{}, but keep: 0 keeps all; say how many of the newest stay",
                                     checkpoint.keep_best())});
  }
  if (checkpoint.ram_replicas() > 1) {
    problems->push_back(
        {"checkpoint.ram_replicas",
         fmt::format("{}; give 1, or 0 for no copies on other nodes", checkpoint.ram_replicas())});
  }
  if (checkpoint.ram_parity() > kRamParityMax) {
    problems->push_back(
        {"checkpoint.ram_parity",
         fmt::format("{}; give 1 to {}, or 0 for none", checkpoint.ram_parity(), kRamParityMax)});
  }
  if (checkpoint.ram_parity() > 0 && checkpoint.ram_replicas() > 0) {
    problems->push_back({"checkpoint.ram_parity",
                         fmt::format("{}, beside ram_replicas: {}; parity comes instead of copies, "
                                     "give one of the two",
                                     checkpoint.ram_parity(), checkpoint.ram_replicas())});
  }
}

struct JobPath {
  const char* field;
  std::string* path;
};

std::vector<JobPath> PathsOf(v1::JobSpec* spec) {
  std::vector<JobPath> paths;
  if (spec->has_train()) {
    paths.push_back({"train.data.path", spec->mutable_train()->mutable_data()->mutable_path()});
  }
  if (spec->has_program()) {
    paths.push_back({"program.working_dir", spec->mutable_program()->mutable_working_dir()});
  }
  if (spec->has_checkpoint()) {
    paths.push_back({"checkpoint.path", spec->mutable_checkpoint()->mutable_path()});
    paths.push_back({"checkpoint.init_from", spec->mutable_checkpoint()->mutable_init_from()});
  }
  return paths;
}

}  // namespace

std::vector<Problem> FindProblems(const v1::JobSpec& spec) {
  std::vector<Problem> problems;
  if (const absl::Status name = CheckJobName(spec.name()); !name.ok()) {
    problems.push_back({"name", std::string(name.message())});
  }
  FindMeshProblems(spec, &problems);
  FindMinProblems(spec, &problems);
  FindDomainProblems(spec, &problems);
  const uint32_t slots = spec.resources().slots_per_rank();
  if (slots == 0 || slots > kSlotsMax) {
    problems.push_back(
        {"resources.slots_per_rank", fmt::format("{}; give 1 to {}", slots, kSlotsMax)});
  }
  switch (spec.workload_case()) {
    case v1::JobSpec::kTrain:
      FindTrainProblems(spec, &problems);
      CheckPath("train.data.path", spec.train().data().path(), &problems);
      if (spec.checkpoint().path().empty()) {
        problems.push_back({"checkpoint.path", "missing; give a folder every node can reach"});
      }
      break;
    case v1::JobSpec::kProgram:
      FindProgramProblems(spec.program(), &problems);
      break;
    case v1::JobSpec::WORKLOAD_NOT_SET:
      problems.push_back({"train", "neither train nor program; say what the job runs"});
      break;
  }
  FindCheckpointProblems(spec, &problems);
  if (spec.recovery().attempts_without_progress() == 0) {
    problems.push_back({"recovery.attempts_without_progress", "0; give at least 1"});
  }
  FindPlacementProblems(spec, &problems);
  FindScheduleProblems(spec, &problems);
  return problems;
}

absl::Status ValidateJobSpec(const v1::JobSpec& spec) {
  std::string lines;
  for (const Problem& problem : FindProblems(spec)) {
    if (!lines.empty()) lines += "\n";
    lines += problem.field + ": " + problem.text;
  }
  return lines.empty() ? absl::OkStatus() : absl::InvalidArgumentError(lines);
}

absl::Status RequireAbsolutePaths(const v1::JobSpec& spec) {
  v1::JobSpec copy = spec;
  std::string lines;
  for (const JobPath& path : PathsOf(&copy)) {
    if (path.path->empty() || path.path->front() == '/') continue;
    if (!lines.empty()) lines += "\n";
    lines += fmt::format(
        "{}: \"{}\" is relative, which means another folder on every node; give "
        "an absolute path",
        path.field, *path.path);
  }
  return lines.empty() ? absl::OkStatus() : absl::InvalidArgumentError(lines);
}

void MakePathsAbsolute(const std::string& folder, v1::JobSpec* spec) {
  for (const JobPath& path : PathsOf(spec)) {
    if (path.path->empty() || path.path->front() == '/') continue;
    std::string rest = *path.path;
    while (rest.rfind("./", 0) == 0) rest.erase(0, 2);
    *path.path = rest.empty() || rest == "." ? folder : folder + "/" + rest;
  }
}

}  // namespace muster::spec
