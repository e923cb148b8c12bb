// The shim's side of one rank's shared pages.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
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

  void RaiseStop();

 private:
  RankPages(int fd, muster_pages* pages) : fd_(fd), pages_(pages) {}
  int fd_;
  muster_pages* pages_;
  v1::Progress last_;  // what a rank killed inside a write leaves readable
};

}  // namespace muster::worker::shim
