// One suite over every Journal.
#include "coordinator/journal/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "coordinator/journal/memory_journal.h"
#include "coordinator/journal/sqlite_journal.h"
#include "tests/support/temp_folder.h"

namespace muster::coordinator::journal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Record Epoch(uint64_t number) {
  v1::Record record;
  record.set_time_unix_ms(static_cast<int64_t>(1'000 + number));
  record.mutable_epoch_started()->set_epoch(number);
  return record;
}

std::vector<v1::Record> Epochs(uint64_t first, uint64_t count) {
  std::vector<v1::Record> records;
  for (uint64_t i = 0; i < count; ++i) records.push_back(Epoch(first + i));
  return records;
}

std::vector<uint64_t> ReplayEpochs(Journal& journal) {
  std::vector<uint64_t> epochs;
  const absl::StatusOr<uint64_t> count = journal.Replay(
      [&](const v1::Record& record) { epochs.push_back(record.epoch_started().epoch()); });
  EXPECT_TRUE(count.ok()) << count.status();
  if (count.ok()) {
    EXPECT_EQ(*count, epochs.size());
  }
  return epochs;
}

std::vector<uint64_t> OneTo(uint64_t n) {
  std::vector<uint64_t> numbers(n);
  for (uint64_t i = 0; i < n; ++i) numbers[i] = i + 1;
  return numbers;
}

// A place that journals come and go in.
class Store {
 public:
  virtual ~Store() = default;
  virtual std::unique_ptr<Journal> Open() = 0;
  TempFolder folder;
};

class SqliteStore final : public Store {
 public:
  std::unique_ptr<Journal> Open() override {
    auto journal = SqliteJournal::Open(folder.File("journal.db"));
    EXPECT_TRUE(journal.ok()) << journal.status();
    return std::move(journal).value();
  }
};

class MemoryStore final : public Store {
 public:
  std::unique_ptr<Journal> Open() override { return std::make_unique<MemoryJournal>(store_); }

 private:
  std::shared_ptr<MemoryJournalStore> store_ = std::make_shared<MemoryJournalStore>();
};

template <typename StoreType>
class JournalTest : public ::testing::Test {
 protected:
  StoreType store_;
};

using Stores = ::testing::Types<SqliteStore, MemoryStore>;
TYPED_TEST_SUITE(JournalTest, Stores);

TYPED_TEST(JournalTest, StartsEmpty) {
  auto journal = this->store_.Open();
  EXPECT_THAT(ReplayEpochs(*journal), IsEmpty());
  EXPECT_TRUE(journal->Flush().ok());
}

TYPED_TEST(JournalTest, ReplaysInTheOrderOfAppend) {
  {
    auto journal = this->store_.Open();
    journal->Append({Epoch(1), Epoch(2)}, nullptr);
    journal->Append({Epoch(3)}, nullptr);
    EXPECT_TRUE(journal->Flush().ok());
  }
  auto journal = this->store_.Open();
  EXPECT_THAT(ReplayEpochs(*journal), ElementsAre(1, 2, 3));
  journal->Append({Epoch(4)}, nullptr);
  EXPECT_TRUE(journal->Flush().ok());
  journal.reset();
  EXPECT_THAT(ReplayEpochs(*this->store_.Open()), ElementsAre(1, 2, 3, 4));
}

TYPED_TEST(JournalTest, KeepsEveryFieldOfARecord) {
  v1::Record record;
  record.set_time_unix_ms(7);
  v1::JobSubmitted* submitted = record.mutable_job_submitted();
  submitted->set_uid("x-1-abcdef");
  submitted->mutable_spec()->mutable_program()->add_command(std::string(20'000, 'x'));
  {
    auto journal = this->store_.Open();
    journal->Append({record}, nullptr);
  }
  std::string found;
  ASSERT_TRUE(this->store_.Open()
                  ->Replay([&](const v1::Record& r) { found = r.SerializeAsString(); })
                  .ok());
  EXPECT_EQ(found, record.SerializeAsString());
}

TYPED_TEST(JournalTest, CallsDoneOnceInOrderAlsoForEmptyBatches) {
  std::vector<int> order;
  {
    auto journal = this->store_.Open();
    for (int i = 0; i < 200; ++i) {
      std::vector<v1::Record> records;
      if (i % 3 != 0) records = Epochs(1, 2);
      journal->Append(std::move(records), [&order, i](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        order.push_back(i);
      });
    }
    EXPECT_TRUE(journal->Flush().ok());
    // Flush returns after the callbacks, so reading `order` here is no race.
    EXPECT_EQ(order.size(), 200);
  }
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], static_cast<int>(i));
}

TYPED_TEST(JournalTest, DestructionMakesEverythingDurableFirst) {
  std::atomic<int> done = 0;
  {
    auto journal = this->store_.Open();
    for (uint64_t i = 0; i < 50; ++i) {
      journal->Append(Epochs(i * 4 + 1, 4), [&](const absl::Status& status) {
        if (status.ok()) ++done;
      });
    }
  }
  EXPECT_EQ(done, 50);
  EXPECT_EQ(ReplayEpochs(*this->store_.Open()), OneTo(200));
}

TYPED_TEST(JournalTest, BackupHoldsWhatWasDurableAndOpensAsAJournal) {
  auto journal = this->store_.Open();
  journal->Append(Epochs(1, 100), nullptr);
  ASSERT_TRUE(journal->Flush().ok());
  const std::string path = this->store_.folder.File("backup.db");
  const absl::StatusOr<uint64_t> records = journal->Backup(path);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(*records, 100);
  journal->Append(Epochs(101, 5), nullptr);  // goes on afterwards
  ASSERT_TRUE(journal->Flush().ok());

  auto copy = SqliteJournal::Open(path);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(ReplayEpochs(**copy), OneTo(100));
}

TYPED_TEST(JournalTest, BackupRefusesAPathThatExists) {
  auto journal = this->store_.Open();
  journal->Append(Epochs(1, 3), nullptr);
  ASSERT_TRUE(journal->Flush().ok());
  const std::string path = this->store_.folder.File("backup.db");
  ASSERT_TRUE(journal->Backup(path).ok());
  EXPECT_EQ(journal->Backup(path).status().code(), absl::StatusCode::kAlreadyExists);
}

TYPED_TEST(JournalTest, BackupUnderLoadIsAPrefix) {
  auto journal = this->store_.Open();
  std::thread load([&] {
    for (uint64_t i = 0; i < 500; ++i) journal->Append(Epochs(i * 10 + 1, 10), nullptr);
  });
  const std::string path = this->store_.folder.File("backup.db");
  const absl::StatusOr<uint64_t> records = journal->Backup(path);
  load.join();
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(*records % 10, 0);  // batches are whole
  auto copy = SqliteJournal::Open(path);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(ReplayEpochs(**copy), OneTo(*records));
}

// 16 producers hand their batches to the one thread that appends, as gRPC threads do to the loop.
TYPED_TEST(JournalTest, CarriesSixteenProducersInTheOrderOfAppend) {
  constexpr uint64_t kBatches = uint64_t{16} * 250;
  auto journal = this->store_.Open();
  absl::Mutex mutex;  // stands for the mailbox: one appends at a time
  uint64_t next = 1;
  std::atomic<uint64_t> acknowledged = 0;
  std::vector<std::thread> producers;
  for (int p = 0; p < 16; ++p) {
    producers.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        absl::MutexLock lock(&mutex);
        journal->Append({Epoch(next)}, [&, mine = next](const absl::Status& status) {
          EXPECT_TRUE(status.ok()) << status;
          EXPECT_EQ(acknowledged.fetch_add(1) + 1, mine);
        });
        ++next;
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  ASSERT_TRUE(journal->Flush().ok());
  EXPECT_EQ(acknowledged, kBatches);
  journal.reset();
  EXPECT_EQ(ReplayEpochs(*this->store_.Open()), OneTo(kBatches));
}

TEST(MemoryJournal, AfterAFailureNothingIsAppendedAnyMore) {
  auto store = std::make_shared<MemoryJournalStore>();
  std::vector<bool> ok;
  {
    MemoryJournal journal(store);
    journal.FailAfter(2, absl::ResourceExhaustedError("disk full"));
    for (uint64_t i = 1; i <= 4; ++i) {
      journal.Append({Epoch(i)}, [&](const absl::Status& status) { ok.push_back(status.ok()); });
    }
    EXPECT_EQ(journal.Flush().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_THAT(ok, ElementsAre(true, true, false, false));
  MemoryJournal journal(store);
  EXPECT_THAT(ReplayEpochs(journal), ElementsAre(1, 2));
}

// The child appends and tells each acknowledgement through a pipe; it is killed in the middle.
TEST(SqliteJournal, KeepsEverythingAcknowledgedWhenKilled) {
  for (int round = 0; round < 8; ++round) {
    TempFolder folder;
    const std::string path = folder.File("journal.db");
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      auto journal = SqliteJournal::Open(path);
      if (!journal.ok()) _exit(1);
      for (uint64_t i = 0;; ++i) {
        (*journal)->Append(Epochs(i * 3 + 1, 3), [&, last = i * 3 + 3](const absl::Status& s) {
          if (!s.ok() || write(ends[1], &last, sizeof last) != sizeof last) _exit(2);
        });
      }
    }
    close(ends[1]);
    uint64_t acknowledged = 0;
    const uint64_t kill_at = static_cast<uint64_t>(40 + 211 * round) * 3;
    while (acknowledged < kill_at) {
      ASSERT_EQ(read(ends[0], &acknowledged, sizeof acknowledged), 8);
    }
    kill(child, SIGKILL);
    int state = 0;
    waitpid(child, &state, 0);
    ASSERT_TRUE(WIFSIGNALED(state)) << state;
    while (read(ends[0], &acknowledged, sizeof acknowledged) == 8) {
    }
    close(ends[0]);

    auto journal = SqliteJournal::Open(path);
    ASSERT_TRUE(journal.ok()) << journal.status();
    const std::vector<uint64_t> found = ReplayEpochs(**journal);
    EXPECT_GE(found.size(), acknowledged);
    EXPECT_EQ(found.size() % 3, 0) << "half a batch";
    EXPECT_EQ(found, OneTo(found.size()));
  }
}

}  // namespace
}  // namespace muster::coordinator::journal
