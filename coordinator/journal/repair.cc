#include "coordinator/journal/repair.h"

#include <errno.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "common/status.h"
#include "coordinator/journal/sqlite_file.h"
#include "coordinator/journal/wal_check.h"

namespace muster::coordinator::journal {
namespace {

// "journal.db.damaged", or ".damaged-2" and so on when that is taken.
std::string FreeCopyPath(const std::string& path) {
  std::string copy = path + ".damaged";
  for (int i = 2; std::filesystem::exists(copy); ++i) copy = fmt::format("{}.damaged-{}", path, i);
  return copy;
}

absl::Status CopyAside(const std::string& path, const std::string& copy) {
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    if (!std::filesystem::exists(path + suffix)) continue;
    std::filesystem::copy_file(path + suffix, copy + suffix, error);
    if (error) {
      return ErrnoError(error.value(),
                        fmt::format("copy {}{} aside to {}{}", path, suffix, copy, suffix));
    }
  }
  return absl::OkStatus();
}

// Writes the records of `from` that are whole into a fresh journal at `to`.
absl::StatusOr<uint64_t> Salvage(SqliteFile& from, const std::string& to) {
  MUSTER_ASSIGN_OR_RETURN(SqliteFile fresh, SqliteFile::Open(to));
  MUSTER_RETURN_IF_ERROR(fresh.Begin());
  uint64_t kept = 0;
  absl::Status insert_status;
  const auto copy_row = [&](uint64_t number, const void* bytes, size_t size) {
    insert_status = fresh.Insert(number, std::string(static_cast<const char*>(bytes), size));
    if (insert_status.ok()) kept = number;
    return insert_status;
  };
  const absl::StatusOr<uint64_t> read = from.ForEach(copy_row);
  MUSTER_RETURN_IF_ERROR(insert_status);
  if (!read.ok() && !absl::IsDataLoss(read.status())) return read.status();
  MUSTER_RETURN_IF_ERROR(fresh.Commit(kept));
  return kept;
}

}  // namespace

std::string RepairReport::Text() const {
  if (!was_damaged) return fmt::format("journal is whole ({} records); nothing to repair", kept);
  std::string text = fmt::format("journal repaired: kept {} records, dropped {}", kept, dropped);
  if (dropped_commits > 0) {
    text += fmt::format(" and {} commits of the write-ahead log (each one record or more)",
                        dropped_commits);
  }
  return text + "; the damaged file is kept as " + copy_path;
}

absl::StatusOr<RepairReport> RepairByTruncation(const std::string& path) {
  RepairReport report;
  if (!std::filesystem::exists(path)) return report;
  MUSTER_ASSIGN_OR_RETURN(const WalState wal, ReadWalState(path));
  report.copy_path = FreeCopyPath(path);
  // Before SQLite opens it: opening recovers the log, which changes the files.
  MUSTER_RETURN_IF_ERROR(CopyAside(path, report.copy_path));

  const std::string fresh_path = path + ".repaired";
  for (const char* suffix : {"", "-wal", "-shm"}) unlink((fresh_path + suffix).c_str());
  uint64_t tail = 0;
  {
    absl::StatusOr<SqliteFile> damaged = SqliteFile::Open(path);
    if (!damaged.ok()) {
      for (const char* suffix : {"", "-wal"}) unlink((report.copy_path + suffix).c_str());
      return Annotate(damaged.status(), "repair: nothing can be read");
    }
    MUSTER_ASSIGN_OR_RETURN(report.kept, Salvage(*damaged, fresh_path));
    tail = damaged->TailNumber();
  }
  report.dropped = tail > report.kept ? tail - report.kept : 0;
  if (wal.damaged()) report.dropped_commits = wal.commits_behind_damage;
  report.was_damaged = wal.damaged() || tail != report.kept;
  if (!report.was_damaged) {
    for (const std::string& file : {report.copy_path, fresh_path}) {
      for (const char* suffix : {"", "-wal", "-shm"}) unlink((file + suffix).c_str());
    }
    report.copy_path.clear();
    return report;
  }
  // The old log must not be replayed into the new file.
  for (const char* suffix : {"-wal", "-shm"}) unlink((path + suffix).c_str());
  if (rename(fresh_path.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, "put the repaired journal in place at " + path);
  }
  return report;
}

}  // namespace muster::coordinator::journal
