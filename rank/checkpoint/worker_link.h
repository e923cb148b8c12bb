// The SaveLink of a rank that a worker started, over the rank link.
#pragma once

#include "rank/checkpoint/save_link.h"

namespace muster::rank {

class WorkerSaveLink : public virtual SaveLink {
 public:
  // The link outlives it.
  explicit WorkerSaveLink(muster_rank* link) : link_(link) {}

  bool WantedStop() override { return muster_rank_wanted_stop(link_) != 0; }
  uint64_t WantedSave() override { return muster_rank_wanted_save(link_); }
  absl::Status RequestCommit(uint64_t step, const std::string& manifest_sha256,
                             uint64_t bytes) override;
  absl::StatusOr<CommitAnswer> PollCommit(uint64_t step, int timeout_ms,
                                          std::string* reason) override;
  absl::Status CommitDone(uint64_t step, const std::string& manifest_sha256,
                          uint64_t bytes) override;
  absl::Status Pruned(uint64_t step, uint64_t attempt) override;
  absl::Status SaveTrouble(muster_save_trouble kind, uint64_t step,
                           const std::string& text) override;

 private:
  muster_rank* const link_;
};

// `code` of a muster_rank_* function as a status, with the link's words.
absl::Status LinkStatus(const muster_rank* link, int code);

}  // namespace muster::rank
