#include "rank/checkpoint/worker_link.h"

#include <cerrno>

#include "common/status.h"
#include "trainer/loop/rank_link.h"

namespace muster::trainer::loop {
namespace {

class WorkerLink : public RankLink,
                   public rank::WorkerSaveLink,
                   private collective::CollectiveRing {
 public:
  explicit WorkerLink(muster_rank* link) : WorkerSaveLink(link), link_(link) {}
  ~WorkerLink() override { muster_rank_close(link_); }

  absl::Status Hello(int rank, int world_size) override {
    return rank::LinkStatus(link_, muster_rank_hello(link_, static_cast<uint32_t>(rank),
                                                     static_cast<uint32_t>(world_size)));
  }
  void Publish(const muster_rank_status& status, double straggler_seconds,
               bool from_memory) override {
    muster_rank_stragglers(link_, straggler_seconds);
    muster_rank_from_memory(link_, from_memory ? 1 : 0);
    muster_rank_publish(link_, &status);
  }
  collective::CollectiveRing* ring() override { return this; }

 private:
  uint64_t Begin(muster_collective operation, muster_group group, uint64_t bytes) override {
    return muster_rank_collective_begin(link_, operation, group, bytes);
  }
  uint64_t Start(muster_collective operation, muster_group group, uint64_t bytes) override {
    return muster_rank_collective_start(link_, operation, group, bytes);
  }
  void Wait(uint64_t number) override { muster_rank_collective_wait(link_, number); }
  void Done(uint64_t number) override { muster_rank_collective_done(link_, number); }

  muster_rank* const link_;
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
