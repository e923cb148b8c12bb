#include "worker/shim/commit_relay.h"

namespace muster::worker::shim {

v1::CheckpointRef CommitRelay::Ref(const muster_frame_commit& commit, bool committed,
                                   int64_t unix_ms) const {
  v1::CheckpointRef ref;
  ref.set_step(commit.step);
  ref.set_attempt(attempt_);
  ref.set_manifest_sha256(commit.manifest_sha256, sizeof(commit.manifest_sha256));
  ref.set_bytes(commit.bytes);
  ref.set_committed(committed);
  ref.set_time_unix_ms(unix_ms);
  return ref;
}

v1::ShimToWorker CommitRelay::Requested(const muster_frame_commit& commit, int64_t unix_ms) {
  v1::ShimToWorker& message = requests_[commit.step];
  v1::CommitRequest* request = message.mutable_commit_request();
  request->set_job_id(job_id_);
  request->set_attempt(attempt_);
  *request->mutable_checkpoint() = Ref(commit, false, unix_ms);
  return message;
}

v1::ShimToWorker CommitRelay::Done(const muster_frame_commit& commit, int64_t unix_ms) {
  v1::ShimToWorker& message = done_[commit.step];
  v1::CommitDone* done = message.mutable_commit_done();
  done->set_job_id(job_id_);
  done->set_attempt(attempt_);
  *done->mutable_checkpoint() = Ref(commit, true, unix_ms);
  return message;
}

void CommitRelay::Pruned(const muster_frame_pruned& pruned) { pruned_.push_back(pruned); }

bool CommitRelay::Answered(const v1::CommitReply& reply) {
  return requests_.erase(reply.step()) > 0;
}

void CommitRelay::Acknowledged(const v1::CommitAck& ack) { done_.erase(ack.step()); }

std::vector<v1::ShimToWorker> CommitRelay::Unsettled() const {
  std::vector<v1::ShimToWorker> messages;
  for (const auto& [step, message] : requests_) messages.push_back(message);
  for (const auto& [step, message] : done_) messages.push_back(message);
  return messages;
}

std::vector<v1::ShimToWorker> CommitRelay::TakePruned() {
  std::vector<v1::ShimToWorker> messages;
  if (pruned_.empty()) return messages;
  v1::CheckpointsPruned* pruned = messages.emplace_back().mutable_pruned();
  pruned->set_job_id(job_id_);
  pruned->set_attempt(attempt_);
  for (const muster_frame_pruned& entry : pruned_) {
    v1::CheckpointRef* ref = pruned->add_checkpoints();
    ref->set_step(entry.step);
    ref->set_attempt(entry.attempt);
  }
  pruned_.clear();
  return messages;
}

}  // namespace muster::worker::shim
