#include "coordinator/journal/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <utility>

#include "common/check.h"
#include "common/status.h"
#include "coordinator/journal/record_row.h"

namespace muster::coordinator::journal {
namespace {

constexpr int kApplicationId = 0x4d555354;  // "MUST"
constexpr int kFormatVersion = 1;

constexpr const char* kSchema =
    "PRAGMA application_id = 1297437524;"
    "PRAGMA user_version = 1;"
    "PRAGMA journal_mode = DELETE;"
    "CREATE TABLE records(seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, payload BLOB NOT NULL);"
    "CREATE TABLE tail(id INTEGER PRIMARY KEY CHECK(id = 0), seq INTEGER NOT NULL);"
    "INSERT INTO tail VALUES(0, 0);";
static_assert(kApplicationId == 1297437524);

// SQLite says here, for instance, that it recovered its write-ahead log after a crash. Its errors
// come back as statuses too, and are told once, where they are handled.
void LogFromSqlite(void* /*unused*/, int code, const char* message) {
  if (code == SQLITE_SCHEMA || code == SQLITE_CONSTRAINT) return;
  const bool notice = (code & 0xff) == SQLITE_NOTICE;
  spdlog::log(notice ? spdlog::level::info : spdlog::level::debug, "journal: sqlite: {} ({})",
              message, code);
}

void ConfigureOnce() {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_LOG, LogFromSqlite, nullptr); });
}

absl::Status SyncFileAndFolder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  for (const std::string& target : {path, folder.empty() ? std::string(".") : folder}) {
    const int fd = open(target.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoError(errno, "open " + target);
    const int result = fsync(fd);
    const int error = errno;
    close(fd);
    if (result != 0) return ErrnoError(error, "sync " + target);
  }
  return absl::OkStatus();
}

void RemoveWithLogs(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((path + suffix).c_str());
}

// Made beside and renamed, so that a journal is either absent or whole.
absl::Status MakeEmpty(const std::string& path) {
  const std::string fresh = path + ".new";
  RemoveWithLogs(fresh);
  sqlite3* db = nullptr;
  int code = sqlite3_open(fresh.c_str(), &db);
  if (code == SQLITE_OK) code = sqlite3_exec(db, kSchema, nullptr, nullptr, nullptr);
  const std::string text = code == SQLITE_OK ? "" : sqlite3_errmsg(db);
  sqlite3_close(db);
  if (code != SQLITE_OK) {
    RemoveWithLogs(fresh);
    return Unavailable("make journal {}: {}; is the folder writable and has it room?", path, text);
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) return ErrnoError(errno, "make journal " + path);
  return SyncFileAndFolder(path);
}

}  // namespace

std::string WayOutOfDamage() {
  return "restore a backup with deploy/admin/backup-restore, or start once with --repair=truncate, "
         "which copies the file aside and drops from the damaged record on";
}

SqliteFile::SqliteFile(std::string path) : path_(std::move(path)) {}

SqliteFile::SqliteFile(SqliteFile&& other) noexcept
    : path_(std::move(other.path_)),
      db_(std::exchange(other.db_, nullptr)),
      insert_(std::exchange(other.insert_, nullptr)),
      set_tail_(std::exchange(other.set_tail_, nullptr)) {}

SqliteFile& SqliteFile::operator=(SqliteFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(db_, other.db_);
  std::swap(insert_, other.insert_);
  std::swap(set_tail_, other.set_tail_);
  return *this;
}

SqliteFile::~SqliteFile() {
  sqlite3_finalize(insert_);
  sqlite3_finalize(set_tail_);
  sqlite3_close(db_);
}

absl::Status SqliteFile::Failure(int code, const std::string& what) const {
  const std::string text = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return DataLoss(
          "journal {} is not an SQLite database; restore a backup with "
          "deploy/admin/backup-restore, or use another --state",
          path_);
    case SQLITE_CORRUPT:
      return DataLoss("{}: journal {} is damaged ({}); {}", what, path_, text, WayOutOfDamage());
    case SQLITE_FULL:
      return Error(absl::StatusCode::kResourceExhausted,
                   "{}: the disk of journal {} is full; free some space, then start again", what,
                   path_);
    default:
      return Error(absl::StatusCode::kUnavailable, "{}: journal {}: {} (sqlite {}, errno {})", what,
                   path_, text, sqlite3_extended_errcode(db_), sqlite3_system_errno(db_));
  }
}

absl::Status SqliteFile::Run(const char* sql, const char* what) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Failure(code, what);
}

absl::StatusOr<SqliteFile> SqliteFile::Open(const std::string& path) {
  ConfigureOnce();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (std::filesystem::exists(path + "-wal", error)) {
      return DataLoss(
          "journal {} is gone but its log {}-wal is there; put the file back, or "
          "restore a backup with deploy/admin/backup-restore",
          path, path);
    }
    MUSTER_RETURN_IF_ERROR(MakeEmpty(path));
  } else if (std::filesystem::file_size(path, error) == 0) {
    return DataLoss(
        "journal {} is empty (0 bytes): everything in it was lost; restore a backup "
        "with deploy/admin/backup-restore, or use another --state",
        path);
  }
  SqliteFile file(path);
  MUSTER_RETURN_IF_ERROR(file.OpenExisting());
  return file;
}

absl::Status SqliteFile::OpenExisting() {
  int code = sqlite3_open_v2(path_.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr);
  if (code != SQLITE_OK) return Failure(code, "open");
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, 5'000);
  // Reads the file's header and recovers the log, so that damage there shows here.
  MUSTER_RETURN_IF_ERROR(Run("PRAGMA journal_mode = WAL", "open"));
  MUSTER_RETURN_IF_ERROR(Run("PRAGMA synchronous = FULL", "open"));
  MUSTER_RETURN_IF_ERROR(Run("PRAGMA wal_autocheckpoint = 4096", "open"));
  int values[2] = {};
  const char* queries[2] = {"PRAGMA application_id", "PRAGMA user_version"};
  for (int i = 0; i < 2; ++i) {
    sqlite3_stmt* statement = nullptr;
    code = sqlite3_prepare_v2(db_, queries[i], -1, &statement, nullptr);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
      values[i] = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_OK) return Failure(code, "open");
  }
  if (values[0] != kApplicationId) {
    return DataLoss(
        "{} is an SQLite database but not a Muster journal; restore a backup with "
        "deploy/admin/backup-restore, or use another --state",
        path_);
  }
  if (values[1] > kFormatVersion) {
    return FailedPrecondition(
        "journal {} has format {}, this program knows {}; use a newer "
        "muster-coordinator",
        path_, values[1], kFormatVersion);
  }
  code = sqlite3_prepare_v3(db_, "INSERT INTO records(seq, crc, payload) VALUES(?, ?, ?)", -1,
                            SQLITE_PREPARE_PERSISTENT, &insert_, nullptr);
  if (code == SQLITE_OK) {
    code = sqlite3_prepare_v3(db_, "UPDATE tail SET seq = ? WHERE id = 0", -1,
                              SQLITE_PREPARE_PERSISTENT, &set_tail_, nullptr);
  }
  return code == SQLITE_OK ? absl::OkStatus() : Failure(code, "open");
}

absl::StatusOr<uint64_t> SqliteFile::ForEach(
    const std::function<absl::Status(uint64_t number, const void* bytes, size_t size)>& row) {
  const auto damaged = [this](uint64_t number, const std::string& how) {
    return DataLoss("journal {}: record {} is damaged ({}), {} before it {} whole; {}", path_,
                    number, how, number - 1, number == 2 ? "is" : "are", WayOutOfDamage());
  };
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(db_, "SELECT seq, crc, payload FROM records ORDER BY seq", -1,
                                &statement, nullptr);
  uint64_t count = 0;
  absl::Status status;
  while (status.ok() && code == SQLITE_OK) {
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW) break;
    code = SQLITE_OK;
    const uint64_t expected = count + 1;
    const auto number = static_cast<uint64_t>(sqlite3_column_int64(statement, 0));
    const void* bytes = sqlite3_column_blob(statement, 2);
    const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, 2));
    if (number != expected) {
      status = damaged(expected, fmt::format("found record {} in its place", number));
    } else if (sqlite3_column_type(statement, 1) != SQLITE_INTEGER ||
               static_cast<uint64_t>(sqlite3_column_int64(statement, 1)) !=
                   RecordChecksum(number, bytes, size)) {
      status = damaged(expected, "checksum");
    } else {
      status = row(number, bytes, size);
      if (status.ok()) count = expected;
    }
  }
  const std::string text = sqlite3_errmsg(db_);
  sqlite3_finalize(statement);
  if (!status.ok()) return status;
  if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
    return damaged(count + 1, text);
  }
  if (code != SQLITE_DONE) return Failure(code, "read");
  const uint64_t tail = TailNumber();
  if (tail != count) {
    return damaged(count + 1, fmt::format("the journal was written up to record {}", tail));
  }
  return count;
}

uint64_t SqliteFile::TailNumber() {
  sqlite3_stmt* statement = nullptr;
  uint64_t tail = 0;
  if (sqlite3_prepare_v2(db_, "SELECT seq FROM tail WHERE id = 0", -1, &statement, nullptr) ==
          SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    tail = static_cast<uint64_t>(sqlite3_column_int64(statement, 0));
  }
  sqlite3_finalize(statement);
  return tail;
}

absl::Status SqliteFile::Begin() { return Run("BEGIN IMMEDIATE", "append"); }

absl::Status SqliteFile::Insert(uint64_t number, const std::string& bytes) {
  sqlite3_bind_int64(insert_, 1, static_cast<sqlite3_int64>(number));
  sqlite3_bind_int64(insert_, 2, RecordChecksum(number, bytes.data(), bytes.size()));
  // A record without a byte is still a blob, not NULL.
  sqlite3_bind_blob64(insert_, 3, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
  const int code = sqlite3_step(insert_);
  absl::Status status;
  if (code != SQLITE_DONE) status = Failure(code, fmt::format("append record {}", number));
  sqlite3_reset(insert_);
  return status;
}

absl::Status SqliteFile::Commit(uint64_t tail) {
  sqlite3_bind_int64(set_tail_, 1, static_cast<sqlite3_int64>(tail));
  const int code = sqlite3_step(set_tail_);
  absl::Status status;
  if (code != SQLITE_DONE) status = Failure(code, fmt::format("append record {}", tail));
  sqlite3_reset(set_tail_);
  MUSTER_RETURN_IF_ERROR(status);
  const int committed = sqlite3_exec(db_, "COMMIT", nullptr, nullptr, nullptr);
  return committed == SQLITE_OK ? absl::OkStatus()
                                : Failure(committed, fmt::format("append record {}", tail));
}

absl::Status SqliteFile::CopyTo(const std::string& target) {
  const std::string partial = target + ".partial";
  RemoveWithLogs(partial);
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(db_, "VACUUM INTO ?", -1, &statement, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_bind_text(statement, 1, partial.c_str(), -1, SQLITE_TRANSIENT);
    code = sqlite3_step(statement);
  }
  const absl::Status failure =
      code == SQLITE_DONE ? absl::OkStatus()
                          : Unavailable(
                                "copy journal {} to {}: {}; is the folder there, writable, "
                                "and has it room?",
                                path_, target, sqlite3_errmsg(db_));
  sqlite3_finalize(statement);
  absl::Status status = failure;
  if (status.ok()) status = SyncFileAndFolder(partial);
  if (status.ok() && link(partial.c_str(), target.c_str()) != 0) {
    status = errno == EEXIST ? AlreadyExists(
                                   "copy journal to {}: the file exists; choose another "
                                   "name",
                                   target)
                             : ErrnoError(errno, "copy journal to " + target);
  }
  RemoveWithLogs(partial);
  if (status.ok()) status = SyncFileAndFolder(target);
  return status;
}

}  // namespace muster::coordinator::journal
