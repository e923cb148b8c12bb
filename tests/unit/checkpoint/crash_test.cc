// A machine that dies at every call of a workload, with every survival of what was not synced: the
// newest valid checkpoint loads, nothing partial is ever taken, nothing acknowledged is lost, and
// nothing is left over.
//
// MUSTER_CRASH_SEEDS=n draws n times as many survivals (1 in the normal run).
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "tests/unit/checkpoint/crash_history.h"
#include "tests/unit/checkpoint/turns.h"

namespace muster::checkpoint {
namespace {

uint64_t Seeds() {
  const char* text = std::getenv("MUSTER_CRASH_SEEDS");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

struct Survivals {
  uint64_t prefix = 2, any = 6, second_crash = 3;  // draws of each
  size_t every = 1;                                // of so many instants one, in the normal run
};

class Crash : public testing::Test {
 protected:
  static void TearDownTestSuite() { std::printf("  %zu points in all\n", points_in_all_); }

  // Every instant of a workload, with every survival.
  void CrashAtEach(const std::string& workload, const std::vector<Instant>& instants,
                   const Survivals& draws = {}) {
    size_t points = 0;
    for (size_t at = 0; at<instants.size(); at += Seeds()> 1 ? 1 : draws.every) {
      const Instant& instant = instants[at];
      auto crash = [&](Survival survival, uint64_t seed) {
        ++points;
        DiskFiles found(instant.disk.PowerLoss(survival, seed));
        Expect(FaultsAfterCrash(found, instant.history),
               fmt::format("{}, instant {}, survival: {}, seed {}", workload, at,
                           SurvivalText(survival), seed));
      };
      crash(Survival::kSynced, 0);
      crash(Survival::kEverything, 0);
      for (uint64_t i = 0; i < draws.prefix * Seeds(); ++i) crash(Survival::kPrefix, at * 97 + i);
      for (uint64_t i = 0; i < draws.any * Seeds(); ++i) crash(Survival::kAny, at * 97 + i);
      for (uint64_t i = 0; i < draws.second_crash * Seeds(); ++i) {
        ++points;
        Expect(FaultsAfterSecondCrash(instant, at * 97 + i),
               fmt::format("{}, instant {}, a second crash, seed {}", workload, at, at * 97 + i));
      }
    }
    points_in_all_ += points;
    std::printf("  %-52s %5zu instants %6zu points\n", workload.c_str(), instants.size(), points);
  }

  void Expect(const std::vector<std::string>& faults, const std::string& where) {
    if (faults.empty()) return;
    ++failed_;
    if (failed_ > 10) return;  // the first ones say it
    for (const std::string& fault : faults) ADD_FAILURE() << where << ": " << fault;
  }

  DiskFiles files_;
  History history_;
  std::vector<Instant> instants_;
  size_t failed_ = 0;
  static size_t points_in_all_;
};
size_t Crash::points_in_all_ = 0;

TEST_F(Crash, InTheFirstSave) {
  RecordInstants(files_, history_, instants_);
  ASSERT_TRUE(SaveStep(files_, {10, 1}, 2, history_).ok());
  instants_.push_back({files_.disk(), history_});
  CrashAtEach("first save and commit", instants_);
}

TEST_F(Crash, InSavesWithRetention) {
  for (uint32_t keep : {1u, 3u}) {
    DiskFiles files;
    History history{.permitted = {}, .acknowledged = {}, .keep = keep};
    std::vector<Instant> instants;
    RecordInstants(files, history, instants);
    for (uint64_t step = 10; step <= 40; step += 10) {
      ASSERT_TRUE(SaveStep(files, {step, 1}, 2, history).ok());
    }
    ASSERT_TRUE(SaveStep(files, {50, 2}, 3, history).ok());
    CrashAtEach(fmt::format("five saves, keep {}", keep), instants,
                {.prefix = 1, .any = 2, .second_crash = 1});
  }
}

// The older attempt was fenced while it wrote and asks for nothing more, but one permit it has.
TEST_F(Crash, WithAZombieThatStillWritesAndCommits) {
  for (uint64_t seed = 1; seed <= 4 * Seeds(); ++seed) {
    DiskFiles files;
    History history{.permitted = {}, .acknowledged = {}, .keep = seed % 2 == 0 ? 1u : 2u};
    ASSERT_TRUE(SaveStep(files, {10, 1}, 2, history).ok());
    const bool has_permit = seed % 3 != 0;
    if (has_permit) history.permitted.push_back({20, 1});
    Turns turns(seed);
    std::vector<Instant> instants;
    std::vector<ShardDigest> digests(2);
    size_t durable = 0;
    auto gated = [&](size_t actor) {
      auto own = std::make_unique<DiskFiles>(&files.disk());
      own->set_gate([&, actor](const DiskFiles::Call& call) {
        turns.Pass(actor);
        if (call.changes) instants.push_back({files.disk(), history});
        return absl::OkStatus();
      });
      return own;
    };
    auto write = [&](size_t actor, CheckpointId id, size_t writer) {
      const auto own = gated(actor);
      absl::StatusOr<ShardDigest> digest = WriteRank(*own, id, writer, 2);
      ASSERT_TRUE(digest.ok()) << digest.status();
      digests[writer] = *std::move(digest);
      ++durable;
    };
    turns.Run({[&](size_t actor) {  // the zombie
                 const auto own = gated(actor);
                 std::vector<ShardDigest> shards;
                 for (size_t writer : {0u, 1u}) {
                   auto digest = WriteRank(*own, {20, 1}, writer, 2);
                   if (!digest.ok()) return;  // its folder was swept under it
                   shards.push_back(*std::move(digest));
                 }
                 if (!has_permit || !CommitStep(*own, {20, 1}, shards, history).ok()) return;
                 (void)TidyAfter(*own, {20, 1}, history);
               },
               [&](size_t actor) {  // rank 0 of the new attempt
                 const auto own = gated(actor);
                 const auto choice = ChooseNewest(kJob, *own);
                 ASSERT_TRUE(choice.ok() && choice->point.has_value()) << choice.status();
                 write(actor, {15, 2}, 0);
                 while (durable < 2) turns.Pass(actor);
                 absl::Status saved = CommitStep(*own, {15, 2}, digests, history);
                 if (saved.ok()) saved = TidyAfter(*own, {15, 2}, history);
                 ASSERT_TRUE(saved.ok()) << saved << " seed " << seed;
                 const absl::Status next = SaveStep(*own, {25, 2}, 1, history);
                 ASSERT_TRUE(next.ok()) << next << " seed " << seed;
               },
               [&](size_t actor) {
                 write(actor, {15, 2}, 1);
               }});
    CrashAtEach(fmt::format("a zombie {} a permit, keep {}, order {}",
                            has_permit ? "with" : "without", history.keep, seed),
                instants, {.prefix = 1, .any = 3, .second_crash = 1});
  }
}

// A newer attempt that went on from an older step (the newer ones were marked bad).
TEST_F(Crash, AfterAStepBack) {
  for (uint32_t keep : {1u, 2u}) {
    DiskFiles files;
    History history{.permitted = {}, .acknowledged = {}, .keep = 0};
    for (uint64_t step : {10u, 20u, 30u}) {
      ASSERT_TRUE(SaveStep(files, {step, 1}, 1, history).ok());
    }
    history.keep = keep;
    std::vector<Instant> instants;
    RecordInstants(files, history, instants);
    ASSERT_TRUE(SaveStep(files, {15, 2}, 1, history).ok());
    ASSERT_TRUE(SaveStep(files, {18, 2}, 1, history).ok());
    instants.push_back({files.disk(), history});
    CrashAtEach(fmt::format("a step back, keep {}", keep), instants,
                {.prefix = 1, .any = 3, .second_crash = 1});
  }
}

TEST_F(Crash, OverTheRubbishOfAnEarlierCrash) {
  History before{.permitted = {}, .acknowledged = {}, .keep = 2};
  RecordInstants(files_, before, instants_);
  for (uint64_t step = 10; step <= 40; step += 10) {
    ASSERT_TRUE(SaveStep(files_, {step, 1}, 3, before).ok());
  }
  std::mt19937_64 random(1);
  for (int round = 0; round < 3; ++round) {
    const Instant& crash = instants_[instants_.size() / 3 * static_cast<size_t>(round) + 5];
    DiskFiles files(crash.disk.PowerLoss(Survival::kAny, random()));
    History history = crash.history;
    ASSERT_TRUE(MakeFolders(files, kJob + "/.trash-step-0000000001.a1/data").ok());
    for (const char* name : {"/.tmp-LATEST", "/.trash-step-0000000001.a1/data/.tmp-w00000"}) {
      ASSERT_TRUE(files.Create(kJob + name).ok());
    }
    std::vector<Instant> instants;
    RecordInstants(files, history, instants);
    ASSERT_TRUE(SaveStep(files, {60, 2}, 2, history).ok());
    instants.push_back({files.disk(), history});
    CrashAtEach(fmt::format("a save over rubbish {}", round), instants,
                {.prefix = 1, .any = 3, .second_crash = 1});
  }
}

// A call fails, the same attempt tries the same step again, and the machine dies in that.
TEST_F(Crash, InTheRetryAfterAFailureOfEachCall) {
  size_t failures = 0;
  std::vector<Instant> instants;
  for (int call = 0;; ++call) {
    DiskFiles files;
    History history{.permitted = {}, .acknowledged = {}, .keep = 1};
    ASSERT_TRUE(SaveStep(files, {10, 1}, 1, history).ok());
    files.FailAt(call, ErrnoError(call % 2 ? ENOSPC : EIO, "x"));
    const int last = files.calls() + call;
    const absl::Status failed = SaveStep(files, {20, 1}, 2, history);
    if (files.calls() <= last) break;  // the call was never made
    if (failed.ok()) continue;         // clearing a temporary name away failed: no harm
    ++failures;
    RecordInstants(files, history, instants);
    const absl::Status again = SaveStep(files, {20, 1}, 2, history);
    const bool committed = absl::IsAlreadyExists(again);  // only the report of it was lost
    ASSERT_TRUE(again.ok() || committed) << "call " << call << ": " << again;
    instants.push_back({files.disk(), history});
  }
  EXPECT_GT(failures, 30u);
  CrashAtEach(fmt::format("a retry after each of {} failures", failures), instants,
              {.prefix = 0, .any = 1, .second_crash = 1, .every = 6});
}

// rank 0 may ask for its commit again: its answer got lost, or the coordinator was away.
TEST_F(Crash, InACommitThatIsRepeated) {
  for (uint64_t round = 0; round < 2; ++round) {
    DiskFiles files;
    History history;
    std::vector<Instant> first;
    ASSERT_TRUE(SaveStep(files, {10, 1}, 1, history).ok());
    RecordInstants(files, history, first);
    const absl::StatusOr<ShardDigest> shard = WriteRank(files, {20, 1}, 0, 1);
    ASSERT_TRUE(shard.ok());
    const std::vector<ShardDigest> shards = {*shard};
    ASSERT_TRUE(CommitStep(files, {20, 1}, shards, history).ok());
    ASSERT_TRUE(TidyAfter(files, {20, 1}, history).ok());
    std::vector<Instant> instants;
    for (const Instant& instant : first) {
      if (!instant.disk.Exists(kJob + "/" + CheckpointFolder({20, 1}) + "/manifest.json")) continue;
      const Survival survival = round == 0 ? Survival::kEverything : Survival::kAny;
      DiskFiles again(instant.disk.PowerLoss(survival, instants.size()));
      History known = instant.history;
      if (!again.disk().Exists(kJob + "/" + CheckpointFolder({20, 1}) + "/data")) continue;
      RecordInstants(again, known, instants);
      ASSERT_TRUE(CommitStep(again, {20, 1}, shards, known).ok());
    }
    CrashAtEach(fmt::format("a commit repeated, {}", round), instants,
                {.prefix = 1, .any = 2, .second_crash = 0, .every = 3});
  }
}

TEST_F(Crash, OnADiskThatIsFullUntilRoomIsMade) {
  uint64_t full = 0;
  for (uint64_t room = 1000; room < 14000; room += 4100) {
    DiskFiles files;
    History history{.permitted = {}, .acknowledged = {}, .keep = 2};
    for (uint64_t step : {10u, 20u}) ASSERT_TRUE(SaveStep(files, {step, 1}, 2, history).ok());
    std::vector<Instant> instants;
    RecordInstants(files, history, instants);
    files.set_capacity(files.disk().Bytes() + room);
    const absl::Status failed = SaveStep(files, {30, 1}, 2, history);
    if (absl::IsResourceExhausted(failed)) ++full;
    for (const std::string& name : files.disk().Names()) {
      EXPECT_EQ(name.find(".tmp-"), std::string::npos) << "room " << room << ": " << name;
    }
    files.set_capacity(UINT64_MAX);
    const absl::Status saved = SaveStep(files, {failed.ok() ? 40u : 30u, 1}, 2, history);
    ASSERT_TRUE(saved.ok()) << saved;
    instants.push_back({files.disk(), history});
    CrashAtEach(fmt::format("a disk with room for {} more bytes", room), instants,
                {.prefix = 1, .any = 3, .second_crash = 1});
  }
  EXPECT_GE(full, 3u);
}

TEST_F(Crash, AFailureAtEveryCallIsReportedAndLeavesNoTemporaryFile) {
  int reported = 0;
  for (int call = 0;; ++call) {
    DiskFiles files;
    History history;
    files.FailAt(call, ErrnoError(ENOSPC, "x"));
    const absl::Status saved = SaveStep(files, {20, 1}, 2, history);
    if (files.calls() <= call) break;  // the call was never made
    if (saved.ok()) continue;          // clearing a temporary name away failed: no harm
    ++reported;
    EXPECT_EQ(saved.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_NE(std::string(saved.message()).find("No space left"), std::string::npos);
    for (const std::string& name : files.disk().Names()) {
      EXPECT_EQ(name.find(".tmp-"), std::string::npos) << "call " << call << ": " << name;
    }
  }
  EXPECT_GT(reported, 15);
}

TEST_F(Crash, DiskFullSaysHowMuchIsNeededAndFree) {
  ASSERT_TRUE(PrepareCheckpointFolder(kJob, {20, 1}, files_).ok());
  const std::string folder = kJob + "/" + CheckpointFolder({20, 1});
  const Box box = WholeTensor("w", DType::kF32, {1000});
  const Bytes bytes(4000);
  const std::vector<Slice> slices = {{box, bytes}};
  files_.set_capacity(4711);
  const std::string full{WriteShard(folder, "w00000", slices, {}, files_).status().message()};
  EXPECT_NE(full.find("8096 bytes needed, 4711 free in " + folder), std::string::npos) << full;
  files_.set_capacity(UINT64_MAX);
  files_.FailAt(2, ErrnoError(EROFS, "x"));  // the creation
  const auto read_only = WriteShard(folder, "w00000", slices, {}, files_).status();
  EXPECT_NE(std::string(read_only.message()).find("cannot be written"), std::string::npos);
  EXPECT_NE(std::string(read_only.message()).find("Read-only file system"), std::string::npos)
      << read_only;
}

}  // namespace
}  // namespace muster::checkpoint
