// What saving wants from the worker that started this rank. Null stands for "started by nobody".
//
// Threads: the rank's one.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rank/muster_rank.h"

namespace muster::rank {

enum class CommitAnswer { kPending, kPermitted, kRefused };

class SaveLink {
 public:
  virtual ~SaveLink() = default;

  virtual bool WantedStop() = 0;      // save, then end
  virtual uint64_t WantedSave() = 0;  // grows with each "save now"

  // Rank 0 only. manifest_sha256 is hex.
  virtual absl::Status RequestCommit(uint64_t step, const std::string& manifest_sha256,
                                     uint64_t bytes) = 0;
  // Waits at most timeout_ms. A refusal's reason is in `reason`.
  virtual absl::StatusOr<CommitAnswer> PollCommit(uint64_t step, int timeout_ms,
                                                  std::string* reason) = 0;
  virtual absl::Status CommitDone(uint64_t step, const std::string& manifest_sha256,
                                  uint64_t bytes) = 0;
  virtual absl::Status Pruned(uint64_t step, uint64_t attempt) = 0;

  // What keeps this rank from saving as it should, for people; empty text: that is over.
  virtual absl::Status SaveTrouble(muster_save_trouble kind, uint64_t step,
                                   const std::string& text) = 0;
};

}  // namespace muster::rank
