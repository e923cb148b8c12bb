// What is executed for a rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "muster/v1/shim.pb.h"
#include "worker/launch/environment.h"

namespace muster::worker::shim {

struct RankCommand {
  std::vector<std::string> arguments;  // [0] as the user wrote it
  std::string working_dir;
};

// The native trainer with the folder's job.json and resume.json, or the user's program.
RankCommand CommandOf(const v1::ShimOrder& order, const std::string& folder);

// Where execvp would find `program` under this environment's PATH; `program` itself when it has a
// slash or is nowhere.
std::string FindProgram(const std::string& program, const launch::Environment& environment);

// Writes job.json and resume.json for a native job; nothing for a program.
absl::Status WriteJobFiles(const v1::ShimOrder& order, const std::string& folder);

}  // namespace muster::worker::shim
