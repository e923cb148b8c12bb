// The memory of a node that keeps its ranks' checkpoints: a folder in a memory file system.
//
//   DIR/JOB_UID/r00005.a, r00005.b    the slots of rank 5 (checkpoint/slot_file.h)
//   DIR/JOB_UID/p00003.a, p00003.b    two rows of parity (parity_row.h)
//
// The files outlive ranks, shims and the worker; they go when the job's folder is removed, or with
// the machine's power. The worker makes and removes the folders, the ranks make the files.
//
// Threads: one.
// Owns:    the folder, as long as one worker does: whoever has its --state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::worker::vault {

struct VaultOptions {
  std::string folder;
  uint64_t bytes = 0;  // for all ranks of the node; 0 = no vault
  uint32_t slots = 1;  // device slots of the node, which share the bytes evenly
};

class Vault {
 public:
  Vault() = default;  // none

  // Looks at the place; the folder itself is made with the first job's.
  // Errors: kFailedPrecondition: not a memory file system, or somebody else's folder.
  static absl::StatusOr<Vault> Open(const VaultOptions& options);

  bool on() const { return options_.bytes > 0; }
  uint64_t bytes() const { return options_.bytes; }
  const std::string& folder() const { return options_.folder; }
  std::string FolderOf(const std::string& job_uid) const { return options_.folder + "/" + job_uid; }
  // What one rank with so many device slots may use.
  uint64_t RankBytes(uint32_t slots) const;
  // For a file of so many bytes at `path`, in the place of what is there. Errors:
  // kResourceExhausted.
  absl::Status HasRoom(const std::string& path, uint64_t bytes) const;

  absl::Status Add(const std::string& job_uid);
  absl::Status Remove(const std::string& job_uid);
  std::vector<std::string> Jobs() const;  // by name
  // One plain name: no way out of the vault.
  static bool IsPlainName(const std::string& name);

 private:
  explicit Vault(VaultOptions options) : options_(std::move(options)) {}

  VaultOptions options_;
};

// Half of the memory that can be had on this machine, and no more than what is free where `folder`
// shall be.
uint64_t DefaultVaultBytes(const std::string& folder);

}  // namespace muster::worker::vault
