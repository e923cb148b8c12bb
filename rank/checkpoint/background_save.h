// One save on its way: the rank's state is copied while the next step's forward and backward run,
// into a RAM slot of the node or into memory of its own, and then reaches storage while training
// goes on.
//
//   free ──Begin──▶ copying ──▶ writing ──▶ written ──Take──▶ free
//
// The bytes given to Begin must not change before WaitCopied() has returned; afterwards they may,
// and the save still holds the state of that step. From a slot the worker writes the shard, or this
// rank where no worker does; a save that is not durable ends with the slot sealed. When the machine
// has no memory for a copy, the shard is written from the bytes themselves, and WaitCopied() takes
// as long as that.
//
// Threads: used by the rank's one; a thread of its own copies and writes. The destructor waits for
//          that, but not for a worker.
// Memory:  one shard, kept for the next save, once a save was made without a slot.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/shard.h"
#include "checkpoint/slot_file.h"
#include "checkpoint/store.h"
#include "rank/checkpoint/save_memory.h"
#include "rank/checkpoint/section.h"
#include "rank/checkpoint/stopwatch.h"

namespace muster::rank {

// Moments of a fill at which a test may want a rank to die.
enum class FillMoment { kHalfCopied, kCopied, kSealed };

struct SaveOrder {
  std::string root;
  checkpoint::CheckpointId id;
  std::string writer;
  std::vector<Section> sections;

  checkpoint::SlotFile* slot = nullptr;  // nullptr: memory of its own
  checkpoint::SlotId slot_id;
  checkpoint::RunState run;    // for the slot
  bool durable = true;         // false: into the slot, no further
  bool worker_drains = false;  // the slot
  bool replicated = false;     // the worker copies the slot to another node
  std::function<void(FillMoment)> at = {};
};

class BackgroundSave {
 public:
  enum class Fill { kNone, kFilling, kSealed, kFailed };  // of the slot

  explicit BackgroundSave(checkpoint::FileSystem& files) : files_(files) {}
  ~BackgroundSave();
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;

  // CHECKs that it is free. What goes wrong is told by Take.
  void Begin(SaveOrder order);
  bool free() const { return stage_.load(std::memory_order_acquire) == Stage::kFree; }
  void WaitCopied();
  bool written() const { return stage_.load(std::memory_order_acquire) == Stage::kWritten; }
  // At most so long; a negative time is none. True: it is written.
  bool WaitWritten(double seconds);
  // Waits until it is written. The shard's digest, for gathering on rank 0.
  absl::StatusOr<std::string> Take();
  // Of the save last taken: why it was not copied; empty = it was.
  const std::string& why_not_copied() const { return why_not_copied_; }

  // Of the save last begun.
  Fill fill() const { return fill_.load(std::memory_order_acquire); }
  void WaitFilled();
  double fill_seconds() const { return fill_seconds_; }  // once fill() is kSealed

 private:
  enum class Stage { kFree, kCopying, kWriting, kWritten };

  void Reach(Stage stage);
  void ReachFill(Fill fill);
  absl::StatusOr<std::string> Run(const SaveOrder& order);
  absl::Status FillSlot(const SaveOrder& order, const checkpoint::ShardLayout& layout,
                        checkpoint::ShardDigest* digest);
  absl::Status DrainSlot(const SaveOrder& order, const checkpoint::ShardLayout& layout);
  absl::Status WriteSlot(const SaveOrder& order, const checkpoint::ShardLayout& layout);
  absl::StatusOr<checkpoint::ShardDigest> WriteWithoutSlot(const SaveOrder& order,
                                                           const checkpoint::ShardLayout& layout);

  checkpoint::FileSystem& files_;
  SaveMemory memory_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<Stage> stage_ = Stage::kFree;
  std::atomic<Fill> fill_ = Fill::kNone;
  std::atomic<bool> abandoned_ = false;
  Stopwatch watch_;
  double fill_seconds_ = 0;
  absl::StatusOr<std::string> result_ = std::string();
  std::string why_not_copied_;
};

}  // namespace muster::rank
