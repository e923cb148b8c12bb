#include <cerrno>
#include <cstdlib>

#include "common/status.h"
#include "trainer/loop/rank_link.h"

namespace muster::trainer::loop {
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

class WorkerLink : public RankLink, private collective::CollectiveRing {
 public:
  explicit WorkerLink(muster_rank* link) : link_(link) {}
  ~WorkerLink() override { muster_rank_close(link_); }

  absl::Status Hello(int rank, int world_size) override {
    return Result(
        muster_rank_hello(link_, static_cast<uint32_t>(rank), static_cast<uint32_t>(world_size)));
  }
  void Publish(const muster_rank_status& status, double straggler_seconds,
               bool from_memory) override {
    muster_rank_stragglers(link_, straggler_seconds);
    muster_rank_from_memory(link_, from_memory ? 1 : 0);
    muster_rank_publish(link_, &status);
  }
  collective::CollectiveRing* ring() override { return this; }
  bool WantedStop() override { return muster_rank_wanted_stop(link_) != 0; }
  uint64_t WantedSave() override { return muster_rank_wanted_save(link_); }

  absl::Status RequestCommit(uint64_t step, const std::string& manifest_sha256,
                             uint64_t bytes) override {
    return Result(muster_rank_commit_request(link_, step, FromHex(manifest_sha256).bytes, bytes));
  }

  absl::StatusOr<CommitAnswer> PollCommit(uint64_t step, int timeout_ms,
                                          std::string* reason) override {
    muster_commit_answer answer = MUSTER_COMMIT_PENDING;
    MUSTER_RETURN_IF_ERROR(Result(muster_rank_commit_poll(link_, step, timeout_ms, &answer)));
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

  absl::Status CommitDone(uint64_t step, const std::string& manifest_sha256,
                          uint64_t bytes) override {
    return Result(muster_rank_commit_done(link_, step, FromHex(manifest_sha256).bytes, bytes));
  }
  absl::Status Pruned(uint64_t step, uint64_t attempt) override {
    return Result(muster_rank_pruned(link_, step, attempt));
  }
  absl::Status SaveTrouble(muster_save_trouble kind, uint64_t step,
                           const std::string& text) override {
    return Result(muster_rank_save_trouble(link_, kind, step, text.c_str()));
  }

 private:
  uint64_t Begin(muster_collective operation, muster_group group, uint64_t bytes) override {
    return muster_rank_collective_begin(link_, operation, group, bytes);
  }
  uint64_t Start(muster_collective operation, muster_group group, uint64_t bytes) override {
    return muster_rank_collective_start(link_, operation, group, bytes);
  }
  void Wait(uint64_t number) override { muster_rank_collective_wait(link_, number); }
  void Done(uint64_t number) override { muster_rank_collective_done(link_, number); }

  absl::Status Result(int code) const {
    if (code == 0) return absl::OkStatus();
    return Unavailable("rank link: {}", muster_rank_error(link_));
  }

  muster_rank* link_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RankLink>> OpenWorkerLink() {
  muster_rank* link = nullptr;
  const int code = muster_rank_open(&link);
  if (code == -ENOENT) return std::unique_ptr<RankLink>();
  if (code != 0) return Unavailable("open the rank link: {}", muster_rank_error(nullptr));
  return std::unique_ptr<RankLink>(std::make_unique<WorkerLink>(link));
}

}  // namespace muster::trainer::loop
