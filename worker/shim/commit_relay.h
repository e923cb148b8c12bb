// Carries the commits of a checkpoint between rank 0 and the worker, and keeps what is unanswered
// for the next worker.
//
// Threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "muster/v1/shim.pb.h"
#include "rank/link_frame.h"

namespace muster::worker::shim {

class CommitRelay {
 public:
  CommitRelay(uint64_t job_id, uint64_t attempt) : job_id_(job_id), attempt_(attempt) {}

  // From rank 0; the result goes to the worker now, if there is one.
  v1::ShimToWorker Requested(const muster_frame_commit& commit, int64_t unix_ms);
  v1::ShimToWorker Done(const muster_frame_commit& commit, int64_t unix_ms);
  // Kept until a worker takes it: a later listing tells the same, so it is not acknowledged.
  void Pruned(const muster_frame_pruned& pruned);

  // From the worker. Answered returns false for a reply nobody waits for.
  bool Answered(const v1::CommitReply& reply);
  void Acknowledged(const v1::CommitAck& ack);

  // All that is unanswered, for a worker that just came, by step.
  std::vector<v1::ShimToWorker> Unsettled() const;
  // Empties the list of pruned checkpoints.
  std::vector<v1::ShimToWorker> TakePruned();

 private:
  v1::CheckpointRef Ref(const muster_frame_commit& commit, bool committed, int64_t unix_ms) const;
  uint64_t job_id_;
  uint64_t attempt_;
  std::map<uint64_t, v1::ShimToWorker> requests_;  // by step
  std::map<uint64_t, v1::ShimToWorker> done_;
  std::vector<muster_frame_pruned> pruned_;
};

}  // namespace muster::worker::shim
