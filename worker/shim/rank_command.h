// What is executed for a rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/launch/environment.h"
#include "worker/launch/launch.h"

namespace muster::worker::shim {

struct RankCommand {
  std::vector<std::string> arguments;  // [0] as the user wrote it
  std::string working_dir;
};

// The native trainer with the folder's job.json and resume.json, or the user's program.
RankCommand CommandOf(const launch::Launch& launch, const std::string& folder);

// Where execvp would find `program` under this environment's PATH; `program` itself when it has a
// slash or is nowhere.
std::string FindProgram(const std::string& program, const launch::Environment& environment);

// Writes job.json and resume.json; nothing for a program without checkpoints.
absl::Status WriteJobFiles(const launch::Launch& launch, const std::string& folder);

}  // namespace muster::worker::shim
