// Records in memory, for tests and simulation. "Durable" means appended; done is called from the
// journal's own thread all the same. Backup writes the format of SqliteJournal.
//
// Threads: as Journal.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/journal/journal.h"

namespace muster::coordinator::journal {

// What outlives a MemoryJournal, as a file outlives a process.
struct MemoryJournalStore {
  absl::Mutex mutex;
  std::vector<std::string> payloads ABSL_GUARDED_BY(mutex);
};

class MemoryJournal final : public Journal {
 public:
  MemoryJournal();
  explicit MemoryJournal(std::shared_ptr<MemoryJournalStore> store);
  ~MemoryJournal() override;

  absl::StatusOr<uint64_t> Replay(
      const std::function<void(const v1::Record& record)>& apply) override;
  void Append(std::vector<v1::Record> records, std::function<void(absl::Status)> done) override;
  absl::Status Flush() override;
  absl::StatusOr<uint64_t> Backup(const std::string& path) override;

  // Appends after `records` more records fail with `status`, as a full disk would.
  void FailAfter(size_t records, absl::Status status);

 private:
  using Batch = std::pair<std::vector<v1::Record>, std::function<void(absl::Status)>>;
  void Loop();

  const std::shared_ptr<MemoryJournalStore> store_;
  absl::Mutex mutex_;
  std::deque<Batch> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  size_t records_until_failure_ ABSL_GUARDED_BY(mutex_) = SIZE_MAX;
  absl::Status armed_failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::thread writer_;
};

}  // namespace muster::coordinator::journal
