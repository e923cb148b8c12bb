// What a damaged journal says, and what repair keeps. Named for the damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "coordinator/journal/repair.h"
#include "coordinator/journal/sqlite_journal.h"
#include "coordinator/journal/wal_check.h"
#include "tests/support/temp_folder.h"

namespace muster::coordinator::journal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<v1::Record> Submits(uint64_t first, uint64_t count) {
  std::vector<v1::Record> records(count);
  for (uint64_t i = 0; i < count; ++i) {
    records[i].mutable_job_submitted()->set_job_id(first + i);
    records[i].mutable_job_submitted()->set_uid(std::string(300, 'u'));
  }
  return records;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class Damage : public ::testing::Test {
 protected:
  // `count` records, written out to the main file (the log is gone).
  void WriteJournal(uint64_t count) {
    auto journal = SqliteJournal::Open(path_);
    ASSERT_TRUE(journal.ok()) << journal.status();
    (*journal)->Append(Submits(1, count), nullptr);
  }

  // `commits` transactions of one record each, all still in the write-ahead log, as after kill -9.
  void WriteJournalAndDie(uint64_t commits) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto journal = SqliteJournal::Open(path_);
      if (!journal.ok()) _exit(1);
      for (uint64_t i = 1; i <= commits; ++i) {
        (*journal)->Append(Submits(i, 1), nullptr);
        if (!(*journal)->Flush().ok()) _exit(1);
      }
      kill(getpid(), SIGKILL);
    }
    int state = 0;
    waitpid(child, &state, 0);
    ASSERT_TRUE(WIFSIGNALED(state));
  }

  void Sql(const std::string& statement) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, statement.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(db);
  }

  // Status of opening and replaying; `replayed_` says how far it got.
  absl::Status Load() {
    replayed_ = 0;
    auto journal = SqliteJournal::Open(path_);
    if (!journal.ok()) return journal.status();
    return (*journal)
        ->Replay([&](const v1::Record& record) {
          EXPECT_EQ(record.job_submitted().job_id(), ++replayed_);
        })
        .status();
  }

  static std::string Text(const absl::Status& status) { return std::string(status.message()); }

  TempFolder folder_;
  const std::string path_ = folder_.File("journal.db");
  uint64_t replayed_ = 0;
};

TEST_F(Damage, FlippedBitInAMiddleRecordIsNamedAndTheWayOutShown) {
  WriteJournal(40);
  Sql("UPDATE records SET payload = CAST(x'00' || substr(payload, 2) AS BLOB) WHERE seq = 17");
  const absl::Status status = Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(replayed_, 16);
  EXPECT_THAT(Text(status),
              AllOf(HasSubstr(path_), HasSubstr("record 17 is damaged (checksum)"),
                    HasSubstr("16 before it are whole"), HasSubstr("deploy/admin/backup-restore"),
                    HasSubstr("--repair=truncate")));
  EXPECT_EQ(Text(status).find('\n'), std::string::npos);
}

TEST_F(Damage, LastRecordDamaged) {
  WriteJournal(5);
  Sql("UPDATE records SET crc = crc + 1 WHERE seq = 5");
  EXPECT_THAT(Text(Load()), HasSubstr("record 5 is damaged"));
}

TEST_F(Damage, LastRecordMissing) {
  WriteJournal(5);
  Sql("DELETE FROM records WHERE seq = 5");
  EXPECT_THAT(Text(Load()), AllOf(HasSubstr("record 5 is damaged"), HasSubstr("up to record 5")));
}

TEST_F(Damage, MiddleRecordMissing) {
  WriteJournal(9);
  Sql("DELETE FROM records WHERE seq = 4");
  EXPECT_THAT(Text(Load()), HasSubstr("record 4 is damaged (found record 5 in its place)"));
}

TEST_F(Damage, RecordsSwappedAreNoticed) {
  WriteJournal(9);
  Sql("UPDATE records SET seq = 100 WHERE seq = 4; UPDATE records SET seq = 4 WHERE seq = 5;"
      "UPDATE records SET seq = 5 WHERE seq = 100");
  EXPECT_THAT(Text(Load()), HasSubstr("record 4 is damaged (checksum)"));
}

TEST_F(Damage, NotADatabase) {
  Write(path_, std::string(5'000, 'x'));
  const absl::Status status = Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Text(status), HasSubstr("is not an SQLite database; restore a backup"));
}

TEST_F(Damage, AnotherProgramsDatabase) {
  Sql("CREATE TABLE other(x)");
  EXPECT_THAT(Text(Load()), HasSubstr("not a Muster journal"));
}

TEST_F(Damage, EmptyFileIsNotAFreshStart) {
  Write(path_, "");
  EXPECT_EQ(Load().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Damage, MainFileGoneWhileItsLogIsThere) {
  WriteJournalAndDie(3);
  std::filesystem::remove(path_);
  EXPECT_THAT(Text(Load()), HasSubstr("is gone but its log"));
}

TEST_F(Damage, JournalOfANewerProgramIsRefused) {
  WriteJournal(1);
  Sql("PRAGMA user_version = 2");
  EXPECT_EQ(Load().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Damage, FileCutShort) {
  WriteJournal(400);
  const std::string bytes = Read(path_);
  Write(path_, bytes.substr(0, bytes.size() / 2));
  const absl::Status status = Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

// Whatever byte of the main file is wrong: either nothing that counts changed, or it is said.
TEST_F(Damage, NoFlippedByteGoesUnnoticed) {
  WriteJournal(60);
  const std::string whole = Read(path_);
  ASSERT_GT(whole.size(), 12'000);
  uint64_t noticed = 0;
  for (size_t at = 3; at < whole.size(); at += 61) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x41);
    Write(path_, bytes);
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path_ + suffix);
    if (Load().ok()) {
      EXPECT_EQ(replayed_, 60) << "byte " << at;
    } else {
      ++noticed;
    }
  }
  EXPECT_GT(noticed, whole.size() / 61 / 2);
}

TEST_F(Damage, TornEndOfTheLogLosesNothingAcknowledged) {
  WriteJournalAndDie(10);
  const std::string log = Read(path_ + "-wal");
  Write(path_ + "-wal", log + log.substr(32, 4'000));  // a frame that did not make it
  EXPECT_TRUE(Load().ok());
  EXPECT_EQ(replayed_, 10);
}

TEST_F(Damage, LogDamagedInTheMiddleIsNotTakenForATornEnd) {
  WriteJournalAndDie(10);
  std::string log = Read(path_ + "-wal");
  log[log.size() / 2] = static_cast<char>(log[log.size() / 2] ^ 1);
  Write(path_ + "-wal", log);
  const absl::Status status = Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Text(status), AllOf(HasSubstr(path_ + "-wal is damaged behind commit"),
                                  HasSubstr("--repair=truncate")));
}

TEST_F(Damage, LogHeaderDamaged) {
  WriteJournalAndDie(10);
  std::string log = Read(path_ + "-wal");
  log[17] = static_cast<char>(log[17] ^ 1);
  Write(path_ + "-wal", log);
  EXPECT_THAT(Text(Load()), HasSubstr("-wal is damaged at its start"));
}

TEST_F(Damage, WholeLogIsReadAsSqliteReadsIt) {
  WriteJournalAndDie(10);
  const auto wal = ReadWalState(path_);
  ASSERT_TRUE(wal.ok());
  EXPECT_EQ(wal->whole_commits, 10);
  EXPECT_FALSE(wal->damaged());
  EXPECT_FALSE(wal->torn);
}

TEST_F(Damage, RepairDropsFromTheDamagedRecordOnAndKeepsACopy) {
  WriteJournal(40);
  Sql("UPDATE records SET crc = 1 WHERE seq = 17");
  const std::string before = Read(path_);
  const auto report = RepairByTruncation(path_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->kept, 16);
  EXPECT_EQ(report->dropped, 24);
  EXPECT_EQ(Read(report->copy_path), before);
  EXPECT_THAT(report->Text(),
              AllOf(HasSubstr("kept 16 records, dropped 24"), HasSubstr(path_ + ".damaged")));
  EXPECT_TRUE(Load().ok());
  EXPECT_EQ(replayed_, 16);
}

TEST_F(Damage, RepairOfADamagedLogKeepsWhatIsBeforeIt) {
  WriteJournalAndDie(10);
  std::string log = Read(path_ + "-wal");
  log[log.size() / 2] = static_cast<char>(log[log.size() / 2] ^ 1);
  Write(path_ + "-wal", log);
  const auto wal = ReadWalState(path_);
  const auto report = RepairByTruncation(path_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->was_damaged);
  EXPECT_EQ(report->kept, wal->whole_commits);
  EXPECT_EQ(report->dropped_commits, 10 - wal->whole_commits);
  EXPECT_EQ(Read(report->copy_path + "-wal"), log);
  EXPECT_TRUE(Load().ok());
  EXPECT_EQ(replayed_, report->kept);
}

TEST_F(Damage, RepairLeavesAWholeJournalAlone) {
  WriteJournal(7);
  const auto report = RepairByTruncation(path_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->was_damaged);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".damaged"));
  EXPECT_TRUE(Load().ok());
  EXPECT_EQ(replayed_, 7);
}

TEST_F(Damage, RepairRefusesWhereNothingCanBeRead) {
  Write(path_, std::string(5'000, 'x'));
  EXPECT_EQ(RepairByTruncation(path_).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Read(path_), std::string(5'000, 'x'));
}

// A limit on the size of files stands for the full disk: the write fails in the same place.
TEST_F(Damage, FullDiskFailsTheAppendAndEveryLaterOne) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto journal = SqliteJournal::Open(path_);
    if (!journal.ok()) _exit(1);
    (*journal)->Append(Submits(1, 10), nullptr);
    if (!(*journal)->Flush().ok()) _exit(2);
    const rlimit limit = {200'000, 200'000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    (*journal)->Append(Submits(11, 10'000), nullptr);
    const absl::Status failure = (*journal)->Flush();
    if (failure.ok() || Text(failure).find(path_) == std::string::npos) _exit(4);
    int later = 0;
    (*journal)->Append(Submits(10'011, 1), [&](const absl::Status& s) { later = s.ok() ? 1 : 2; });
    if ((*journal)->Flush().ok() || later != 2) _exit(5);
    _exit(0);
  }
  int state = 0;
  waitpid(child, &state, 0);
  ASSERT_TRUE(WIFEXITED(state));
  EXPECT_EQ(WEXITSTATUS(state), 0);
  EXPECT_TRUE(Load().ok());
  EXPECT_EQ(replayed_, 10);
}

}  // namespace
}  // namespace muster::coordinator::journal
