// Records in an SQLite file: write-ahead log, synchronous=FULL, one writer thread.
//
// Group commit: while one transaction syncs, later batches gather and share the next one. The
// queue is bounded; Append waits when it is full, which slows the caller to the disk's speed.
//
// The surprising rule: destroying it makes everything appended durable first.
//
// Threads: as Journal; Backup from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/journal/journal.h"
#include "coordinator/journal/sqlite_file.h"

namespace muster::coordinator::journal {

struct SqliteJournalOptions {
  size_t queue_bytes_max = 64 << 20;
  size_t transaction_records_max = 16'384;
};

class SqliteJournal final : public Journal {
 public:
  // Errors: kDataLoss when the file or its log is damaged, kFailedPrecondition for a newer format.
  static absl::StatusOr<std::unique_ptr<SqliteJournal>> Open(
      const std::string& path, const SqliteJournalOptions& options = {});
  ~SqliteJournal() override;

  absl::StatusOr<uint64_t> Replay(
      const std::function<void(const v1::Record& record)>& apply) override;
  void Append(std::vector<v1::Record> records, std::function<void(absl::Status)> done) override;
  absl::Status Flush() override;
  absl::StatusOr<uint64_t> Backup(const std::string& path) override;

 private:
  struct Batch {
    std::vector<std::string> payloads;
    size_t bytes = 0;
    std::function<void(absl::Status)> done;
  };

  SqliteJournal(SqliteFile file, const SqliteJournalOptions& options);
  void WriteLoop();
  absl::Status WriteTransaction(const std::vector<Batch>& batches);

  const SqliteJournalOptions options_;
  SqliteFile file_;           // the caller's until the first Append, then the writer's
  uint64_t last_number_ = 0;  // likewise

  absl::Mutex mutex_;
  std::deque<Batch> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queue_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // sticky
  std::thread writer_;
};

}  // namespace muster::coordinator::journal
