// One save on its way: the rank's state is copied to memory of its own while the next step's
// forward and backward run, then written as a shard while training goes on.
//
//   free ──Begin──▶ copying ──▶ writing ──▶ written ──Take──▶ free
//
// The floats given to Begin must not change before WaitCopied() has returned; afterwards they may,
// and the shard still holds the state of that step. When the machine has no memory for a copy, the
// shard is written from the floats themselves, and WaitCopied() takes as long as that.
//
// Threads: used by the rank's one; a thread of its own copies and writes. The destructor waits.
// Memory:  one shard, kept for the next save.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/loop/save_memory.h"

namespace muster::trainer::loop {

class BackgroundSave {
 public:
  explicit BackgroundSave(checkpoint::FileSystem& files) : files_(files) {}
  ~BackgroundSave();
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;

  // CHECKs that it is free. What goes wrong is told by Take.
  void Begin(const std::string& root, const checkpoint::CheckpointId& id, const std::string& writer,
             std::vector<Section> sections);
  void WaitCopied();
  bool written() const { return stage_.load(std::memory_order_acquire) == Stage::kWritten; }
  // Waits until it is written. The shard's digest, for gathering on rank 0.
  absl::StatusOr<std::string> Take();
  // Of the save last taken: why it was not copied; empty = it was.
  const std::string& why_not_copied() const { return why_not_copied_; }

 private:
  enum class Stage { kFree, kCopying, kWriting, kWritten };

  void Reach(Stage stage);
  absl::StatusOr<std::string> Run(const std::string& root, const checkpoint::CheckpointId& id,
                                  const std::string& writer, const std::vector<Section>& sections);

  checkpoint::FileSystem& files_;
  SaveMemory memory_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<Stage> stage_ = Stage::kFree;
  absl::StatusOr<std::string> result_ = std::string();
  std::string why_not_copied_;
};

}  // namespace muster::trainer::loop
