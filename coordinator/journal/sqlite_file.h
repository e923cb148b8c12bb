// One open SQLite file that holds a journal.
//
//   records(seq INTEGER PRIMARY KEY, crc INTEGER, payload BLOB)   contiguous from 1
//   tail(id = 0, seq)     the newest record's number, written in the same transaction, so that a
//                         record lost from the end is noticed
//
// application_id "MUST", user_version = format version. A file comes into being whole (made beside
// and renamed), so an empty one is damage and not a fresh start.
//
// Threads: one at a time.
// Errors:  kDataLoss names the file, the record and the way out; kResourceExhausted when the disk
//          is full; kFailedPrecondition for a newer format.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace muster::coordinator::journal {

class SqliteFile {
 public:
  // Opens the journal at `path`, or makes an empty one.
  static absl::StatusOr<SqliteFile> Open(const std::string& path);
  ~SqliteFile();
  SqliteFile(SqliteFile&& other) noexcept;
  SqliteFile& operator=(SqliteFile&& other) noexcept;

  // Calls `row` for every record in order until one is damaged (kDataLoss naming it) or `row`
  // fails. Returns how many there were.
  absl::StatusOr<uint64_t> ForEach(
      const std::function<absl::Status(uint64_t number, const void* bytes, size_t size)>& row);

  // Numbers as written, without checking any record: 0 = none, or not readable.
  uint64_t TailNumber();

  absl::Status Begin();
  absl::Status Insert(uint64_t number, const std::string& bytes);
  absl::Status Commit(uint64_t tail);

  // A consistent copy made beside `target` and linked there; fails when `target` exists.
  absl::Status CopyTo(const std::string& target);

  const std::string& path() const { return path_; }

 private:
  explicit SqliteFile(std::string path);
  absl::Status OpenExisting();
  absl::Status Run(const char* sql, const char* what);
  absl::Status Failure(int code, const std::string& what) const;

  std::string path_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* set_tail_ = nullptr;
};

// "restore a backup with …, or start once with --repair=truncate …": ends every kDataLoss message.
std::string WayOutOfDamage();

}  // namespace muster::coordinator::journal
