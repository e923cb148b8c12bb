#include "rank/checkpoint/committer.h"

#include <chrono>
#include <utility>

#include "checkpoint/commit.h"
#include "common/status.h"

namespace muster::rank {

Committer::~Committer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Committer::Outcome Committer::CommitNow(const checkpoint::Manifest& manifest) {
  const checkpoint::CheckpointId id{manifest.step, manifest.attempt};
  const std::string folder = root_ + "/" + checkpoint::CheckpointFolder(id);
  Outcome outcome;
  outcome.step = manifest.step;
  outcome.manifest_sha256 = manifest.sha256;
  outcome.bytes = checkpoint::TotalBytes(manifest);
  outcome.status = checkpoint::WriteManifest(folder, manifest, files_);
  if (outcome.status.ok()) {
    outcome.status = checkpoint::Commit(folder,
                                        {.step = manifest.step,
                                         .attempt = manifest.attempt,
                                         .epoch = 0,
                                         .manifest_sha256 = manifest.sha256},
                                        files_);
  }
  if (!outcome.status.ok()) return outcome;
  const absl::Status hint = checkpoint::WriteLatest(root_, id, files_);
  if (!hint.ok()) outcome.problems.emplace_back(hint.message());
  const absl::StatusOr<checkpoint::PruneReport> report = checkpoint::Prune(root_, prune_, files_);
  if (report.ok()) {
    outcome.pruned = report->deleted;
    if (!report->kept_for_safety.empty()) outcome.problems.push_back(report->kept_for_safety);
  } else {
    outcome.problems.push_back(
        fmt::format("old checkpoints stay for now: {}", std::string(report.status().message())));
  }
  return outcome;
}

void Committer::Commit(checkpoint::Manifest manifest) {
  Give([this, manifest = std::move(manifest)] {
    Outcome outcome = CommitNow(manifest);
    const std::lock_guard<std::mutex> lock(mutex_);
    outcomes_.push_back(std::move(outcome));
  });
}

void Committer::Discard(checkpoint::CheckpointId id) {
  // What cannot be deleted now goes with the next commit's prune.
  Give([this, id] { checkpoint::DiscardPartial(root_, id, files_).IgnoreError(); });
}

std::optional<Committer::Outcome> Committer::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (outcomes_.empty()) return std::nullopt;
  Outcome outcome = std::move(outcomes_.front());
  outcomes_.pop_front();
  return outcome;
}

void Committer::Wait(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [this] { return !outcomes_.empty(); });
}

void Committer::Give(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

void Committer::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    changed_.notify_all();
    lock.lock();
  }
}

}  // namespace muster::rank
