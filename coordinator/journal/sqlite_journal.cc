#include "coordinator/journal/sqlite_journal.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "common/check.h"
#include "common/status.h"
#include "coordinator/journal/wal_check.h"

namespace muster::coordinator::journal {

absl::StatusOr<std::unique_ptr<SqliteJournal>> SqliteJournal::Open(
    const std::string& path, const SqliteJournalOptions& options) {
  // Before SQLite opens the file: it would drop what lies behind a damaged frame without a word.
  MUSTER_ASSIGN_OR_RETURN(const WalState wal, ReadWalState(path));
  if (wal.damaged()) {
    return DataLoss(
        "journal log {}-wal is damaged {}: {} acknowledged commits behind that cannot "
        "be read; {}",
        path,
        wal.header_damaged ? std::string("at its start")
                           : fmt::format("behind commit {}", wal.whole_commits),
        wal.header_damaged ? "the" : fmt::format("{}", wal.commits_behind_damage),
        WayOutOfDamage());
  }
  if (wal.torn) {
    spdlog::info(
        "journal {}: dropped an unfinished transaction that a crash left; nothing in it "
        "was acknowledged",
        path);
  }
  MUSTER_ASSIGN_OR_RETURN(SqliteFile file, SqliteFile::Open(path));
  std::unique_ptr<SqliteJournal> journal(new SqliteJournal(std::move(file), options));
  journal->last_number_ = journal->file_.TailNumber();
  journal->writer_ = std::thread([raw = journal.get()] { raw->WriteLoop(); });
  return journal;
}

SqliteJournal::SqliteJournal(SqliteFile file, const SqliteJournalOptions& options)
    : options_(options), file_(std::move(file)) {}

SqliteJournal::~SqliteJournal() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  if (writer_.joinable()) writer_.join();
}

absl::StatusOr<uint64_t> SqliteJournal::Replay(
    const std::function<void(const v1::Record& record)>& apply) {
  v1::Record record;
  return file_.ForEach([&](uint64_t number, const void* bytes, size_t size) {
    if (!record.ParseFromArray(bytes, static_cast<int>(size)) ||
        record.record_case() == v1::Record::RECORD_NOT_SET) {
      return FailedPrecondition(
          "journal {}: record {} is of a kind this program does not know; "
          "use a newer muster-coordinator",
          file_.path(), number);
    }
    apply(record);
    return absl::OkStatus();
  });
}

void SqliteJournal::Append(std::vector<v1::Record> records,
                           std::function<void(absl::Status)> done) {
  Batch batch;
  batch.payloads.reserve(records.size());
  for (const v1::Record& record : records) {
    batch.payloads.push_back(record.SerializeAsString());
    batch.bytes += batch.payloads.back().size();
  }
  batch.done = std::move(done);
  absl::MutexLock lock(&mutex_);
  CHECK(!closing_, "append to a journal that is being closed");
  const auto has_room = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return queue_bytes_ < options_.queue_bytes_max || !failure_.ok();
  };
  mutex_.Await(absl::Condition(&has_room));
  queue_bytes_ += batch.bytes;
  queue_.push_back(std::move(batch));
}

absl::Status SqliteJournal::Flush() {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]()
                        ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return queue_.empty() && !writing_; };
  mutex_.Await(absl::Condition(&idle));
  return failure_;
}

absl::StatusOr<uint64_t> SqliteJournal::Backup(const std::string& path) {
  // A connection of its own reads a snapshot while the writer goes on.
  MUSTER_ASSIGN_OR_RETURN(SqliteFile source, SqliteFile::Open(file_.path()));
  MUSTER_RETURN_IF_ERROR(source.CopyTo(path));
  MUSTER_ASSIGN_OR_RETURN(SqliteFile copy, SqliteFile::Open(path));
  return copy.ForEach([](uint64_t, const void*, size_t) { return absl::OkStatus(); });
}

void SqliteJournal::WriteLoop() {
  while (true) {
    std::vector<Batch> batches;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      const auto work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return !queue_.empty() || closing_;
      };
      mutex_.Await(absl::Condition(&work));
      if (queue_.empty()) return;
      size_t records = 0;
      while (!queue_.empty() && records < options_.transaction_records_max) {
        records += queue_.front().payloads.size();
        queue_bytes_ -= queue_.front().bytes;
        batches.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
      writing_ = true;
      status = failure_;
    }
    if (status.ok()) status = WriteTransaction(batches);
    if (!status.ok()) {
      absl::MutexLock lock(&mutex_);
      failure_ = status;
    }
    for (Batch& batch : batches) {
      if (batch.done) batch.done(status);
    }
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
}

absl::Status SqliteJournal::WriteTransaction(const std::vector<Batch>& batches) {
  uint64_t number = last_number_;
  MUSTER_RETURN_IF_ERROR(file_.Begin());
  for (const Batch& batch : batches) {
    for (const std::string& payload : batch.payloads) {
      MUSTER_RETURN_IF_ERROR(file_.Insert(++number, payload));
    }
  }
  MUSTER_RETURN_IF_ERROR(file_.Commit(number));
  last_number_ = number;
  return absl::OkStatus();
}

}  // namespace muster::coordinator::journal
