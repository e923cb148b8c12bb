// What a rank is told about its job's checkpoints: by its worker through the environment, and by
// the job document that the environment names.
//
//   MUSTER_CHECKPOINTS    folder of this job's checkpoints; not there: it has none
//   MUSTER_JOB_FILE       the job document, complete (JSON)
//   MUSTER_RESUME_FILE    what the coordinator permitted (checkpoint/resume.h)
//   MUSTER_JOB_UID, MUSTER_ATTEMPT, MUSTER_MESH, MUSTER_VAULT, MUSTER_VAULT_*
//
// A program that nobody started may be given MUSTER_CHECKPOINTS alone: it saves when it finishes,
// and its attempts are numbered by what is in the folder.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/resume.h"
#include "rank/checkpoint/rank_slots.h"

namespace muster::rank {

struct JobSettings {
  std::string checkpoints;  // "" = off
  std::string job_uid = "program";
  std::optional<uint64_t> attempt;
  std::optional<std::vector<checkpoint::Permitted>> permitted;
  std::string mesh;    // "data=4"; for people
  std::string digest;  // SHA-256 of the job document; "" = there is none
  VaultOptions vault;

  uint64_t every_steps = 0;  // 0 = not because of steps
  double every_seconds = 0;  // 0 = not because of time
  uint64_t ram_every_steps = 0;
  uint32_t keep = 3;
  uint64_t keep_every_steps = 0;
  uint32_t keep_best = 0;
  std::string init_from;
};

// The value of a variable; "" when it is not set.
using Variables = std::function<std::string(const char* name)>;
std::string OfEnvironment(const char* name);

// Errors: kInvalidArgument names the file and the key; a file that cannot be read.
absl::StatusOr<JobSettings> ReadJobSettings(const Variables& variables = OfEnvironment);

}  // namespace muster::rank
