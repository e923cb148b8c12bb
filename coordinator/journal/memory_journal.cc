#include "coordinator/journal/memory_journal.h"

#include <filesystem>

#include "common/check.h"
#include "common/status.h"
#include "coordinator/journal/sqlite_file.h"

namespace muster::coordinator::journal {

MemoryJournal::MemoryJournal() : MemoryJournal(std::make_shared<MemoryJournalStore>()) {}

MemoryJournal::MemoryJournal(std::shared_ptr<MemoryJournalStore> store) : store_(std::move(store)) {
  writer_ = std::thread([this] { Loop(); });
}

MemoryJournal::~MemoryJournal() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  writer_.join();
}

absl::StatusOr<uint64_t> MemoryJournal::Replay(
    const std::function<void(const v1::Record& record)>& apply) {
  std::vector<std::string> payloads;
  {
    absl::MutexLock lock(&store_->mutex);
    payloads = store_->payloads;
  }
  v1::Record record;
  for (const std::string& payload : payloads) {
    CHECK(record.ParseFromString(payload), "a record in memory does not parse");
    apply(record);
  }
  return payloads.size();
}

void MemoryJournal::Append(std::vector<v1::Record> records,
                           std::function<void(absl::Status)> done) {
  absl::MutexLock lock(&mutex_);
  CHECK(!closing_, "append to a journal that is being closed");
  queue_.emplace_back(std::move(records), std::move(done));
}

absl::Status MemoryJournal::Flush() {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]()
                        ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return queue_.empty() && !writing_; };
  mutex_.Await(absl::Condition(&idle));
  return failure_;
}

absl::StatusOr<uint64_t> MemoryJournal::Backup(const std::string& path) {
  std::vector<std::string> payloads;
  {
    absl::MutexLock lock(&store_->mutex);
    payloads = store_->payloads;
  }
  if (std::filesystem::exists(path)) {
    return AlreadyExists("copy journal to {}: the file exists; choose another name", path);
  }
  MUSTER_ASSIGN_OR_RETURN(SqliteFile file, SqliteFile::Open(path));
  MUSTER_RETURN_IF_ERROR(file.Begin());
  uint64_t number = 0;
  for (const std::string& payload : payloads)
    MUSTER_RETURN_IF_ERROR(file.Insert(++number, payload));
  MUSTER_RETURN_IF_ERROR(file.Commit(number));
  return number;
}

void MemoryJournal::FailAfter(size_t records, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  records_until_failure_ = records;
  armed_failure_ = std::move(status);
}

void MemoryJournal::Loop() {
  while (true) {
    Batch batch;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      const auto work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return !queue_.empty() || closing_;
      };
      mutex_.Await(absl::Condition(&work));
      if (queue_.empty()) return;
      batch = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
      if (failure_.ok() && batch.first.size() > records_until_failure_) failure_ = armed_failure_;
      status = failure_;
      if (status.ok()) records_until_failure_ -= batch.first.size();
    }
    if (status.ok()) {
      absl::MutexLock lock(&store_->mutex);
      for (const v1::Record& record : batch.first) {
        store_->payloads.push_back(record.SerializeAsString());
      }
    }
    if (batch.second) batch.second(status);
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
}

}  // namespace muster::coordinator::journal
