#include "worker/vault/own_ranks.h"

#include "common/status.h"

namespace muster::worker::vault {

void OwnRanksBook::Set(const std::string& job_uid, const OwnRanks& own) {
  const std::lock_guard<std::mutex> lock(mutex_);
  own_[job_uid] = own;
}

void OwnRanksBook::Forget(const std::string& job_uid) {
  const std::lock_guard<std::mutex> lock(mutex_);
  own_.erase(job_uid);
}

absl::StatusOr<OwnRanks> OwnRanksBook::For(const std::string& job_uid, uint64_t attempt) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto own = own_.find(job_uid);
  if (own == own_.end() || own->second.attempt < attempt) {
    return Unavailable("attempt {} of {} has not come here yet", attempt, job_uid);
  }
  if (own->second.attempt > attempt) {
    return FailedPrecondition("attempt {} of {} runs here, nothing is kept for attempt {}",
                              own->second.attempt, job_uid, attempt);
  }
  return own->second;
}

}  // namespace muster::worker::vault
