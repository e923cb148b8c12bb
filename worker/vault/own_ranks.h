// Which ranks of which attempts run on this node: for whom it keeps what other nodes send.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"

namespace muster::worker::vault {

// The ranks of one job that run on this node.
struct OwnRanks {
  uint64_t attempt = 0;
  uint32_t first_rank = 0;
  uint32_t ranks = 0;

  bool has(uint32_t rank) const { return rank >= first_rank && rank - first_rank < ranks; }
};

class OwnRanksBook {
 public:
  void Set(const std::string& job_uid, const OwnRanks& own);
  void Forget(const std::string& job_uid);

  // For something that is to be kept for this attempt of the job. Errors: kFailedPrecondition: a
  // later one runs here, and what an attempt that was cut off goes on saving is not taken;
  // kUnavailable: it has not come here yet.
  absl::StatusOr<OwnRanks> For(const std::string& job_uid, uint64_t attempt) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, OwnRanks> own_;  // by uid
};

}  // namespace muster::worker::vault
