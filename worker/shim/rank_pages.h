// The shim's side of one rank's shared pages.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/worker_stream.pb.h"
#include "rank/pages.h"

namespace muster::worker::shim {

// Owns the memory and its descriptor, which the rank inherits.
class RankPages {
 public:
  static absl::StatusOr<std::unique_ptr<RankPages>> Create();
  ~RankPages();
  RankPages(const RankPages&) = delete;
  RankPages& operator=(const RankPages&) = delete;

  int fd() const { return fd_; }

  // What the rank last said about itself; all zero before it did.
  v1::Progress Read();

  // Adds for how long the page has not moved, and the newest collectives, the one the rank is
  // inside first, once it stands still for a second. A rank that never wrote its page gets nothing.
  void AddStillness(int64_t now_monotonic_ns, v1::RankReport* rank) const;

  // Of a rank that has ended: adds the collective it was inside.
  void AddLastCollective(int64_t now_monotonic_ns, v1::RankReport* rank) const;

  void RaiseStop();
  // `save` counts the orders and only grows.
  void RaiseSave(uint64_t save);

 private:
  void WakeRank();  // the order page has changed
  RankPages(int fd, muster_pages* pages) : fd_(fd), pages_(pages) {}
  int fd_;
  muster_pages* pages_;
  int64_t moved_monotonic_ns_ = 0;  // of the newest status read; 0 = none yet
  v1::Progress last_;               // what a rank killed inside a write leaves readable
};

}  // namespace muster::worker::shim
