#include "rank/checkpoint/worker_link.h"

#include <cstdlib>

#include "common/status.h"

namespace muster::rank {
namespace {

struct Sha256 {
  uint8_t bytes[32];
};

Sha256 FromHex(const std::string& hex) {
  Sha256 digest{};
  for (size_t i = 0; i < sizeof(digest.bytes) && 2 * i + 1 < hex.size(); ++i) {
    digest.bytes[i] = static_cast<uint8_t>(std::strtoul(hex.substr(2 * i, 2).c_str(), nullptr, 16));
  }
  return digest;
}

}  // namespace

absl::Status LinkStatus(const muster_rank* link, int code) {
  if (code == 0) return absl::OkStatus();
  return Unavailable("rank link: {}", muster_rank_error(link));
}

absl::Status WorkerSaveLink::RequestCommit(uint64_t step, const std::string& manifest_sha256,
                                           uint64_t bytes) {
  return LinkStatus(link_,
                    muster_rank_commit_request(link_, step, FromHex(manifest_sha256).bytes, bytes));
}

absl::StatusOr<CommitAnswer> WorkerSaveLink::PollCommit(uint64_t step, int timeout_ms,
                                                        std::string* reason) {
  muster_commit_answer answer = MUSTER_COMMIT_PENDING;
  MUSTER_RETURN_IF_ERROR(
      LinkStatus(link_, muster_rank_commit_poll(link_, step, timeout_ms, &answer)));
  switch (answer) {
    case MUSTER_COMMIT_PENDING:
      return CommitAnswer::kPending;
    case MUSTER_COMMIT_PERMITTED:
      return CommitAnswer::kPermitted;
    case MUSTER_COMMIT_REFUSED:
      *reason = muster_rank_error(link_);
      return CommitAnswer::kRefused;
  }
  return Internal("rank link: answer {} to a commit request", static_cast<int>(answer));
}

absl::Status WorkerSaveLink::CommitDone(uint64_t step, const std::string& manifest_sha256,
                                        uint64_t bytes) {
  return LinkStatus(link_,
                    muster_rank_commit_done(link_, step, FromHex(manifest_sha256).bytes, bytes));
}

absl::Status WorkerSaveLink::Pruned(uint64_t step, uint64_t attempt) {
  return LinkStatus(link_, muster_rank_pruned(link_, step, attempt));
}

absl::Status WorkerSaveLink::SaveTrouble(muster_save_trouble kind, uint64_t step,
                                         const std::string& text) {
  return LinkStatus(link_, muster_rank_save_trouble(link_, kind, step, text.c_str()));
}

}  // namespace muster::rank
