// What a worker orders, and how often ranks talk: ProgramCheckpoints with a link and a clock of the
// test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "checkpoint/store.h"
#include "rank/checkpoint/given_group.h"
#include "rank/checkpoint/program_checkpoints.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/rank_checkpoint/failing_files.h"
#include "tests/unit/rank_checkpoint/thread_group.h"

namespace muster::rank {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

// A worker that orders, and permits every commit.
class OrderingLink : public SaveLink {
 public:
  bool WantedStop() override { return stop; }
  uint64_t WantedSave() override { return save; }
  absl::Status RequestCommit(uint64_t, const std::string&, uint64_t) override {
    return absl::OkStatus();
  }
  absl::StatusOr<CommitAnswer> PollCommit(uint64_t, int, std::string*) override {
    return permits ? CommitAnswer::kPermitted : CommitAnswer::kPending;
  }
  absl::Status CommitDone(uint64_t step, const std::string&, uint64_t) override {
    done.push_back(step);
    return absl::OkStatus();
  }
  absl::Status Pruned(uint64_t, uint64_t) override { return absl::OkStatus(); }
  absl::Status SaveTrouble(muster_save_trouble, uint64_t, const std::string&) override {
    return absl::OkStatus();
  }

  std::atomic<bool> stop = false;
  std::atomic<bool> permits = true;
  std::atomic<uint64_t> save = 0;
  std::vector<uint64_t> done;
};

// Counts what goes through it.
class CountingGroup : public GivenGroup {
 public:
  using GivenGroup::GivenGroup;
  absl::StatusOr<std::vector<std::vector<std::byte>>> AllGatherBytes(
      std::span<const std::byte> data) override {
    ++gathers;
    // Fingerprints of "v" go out, and nothing is copied yet.
    const bool fingerprint = data.size() == 2 + sizeof(uint64_t) && data[0] == std::byte{'v'};
    if (flip != nullptr && fingerprint) *flip = -*flip;
    return GivenGroup::AllGatherBytes(data);
  }
  int gathers = 0;
  double* flip = nullptr;
};

class ProgramEngine : public testing::Test {
 protected:
  // Ranks with a link each, which hold one number each of an array.
  void Run(int ranks, const std::function<void(ProgramCheckpoints&, OrderingLink&, double* value,
                                               int rank, CountingGroup&)>& program) {
    links_ = std::vector<OrderingLink>(static_cast<size_t>(ranks));
    OnThreads(ranks, [&](ThreadGroup& end) {
      CountingGroup group(end.Given());
      const auto rank = static_cast<size_t>(group.rank());
      double value = 0;
      ProgramCheckpoints engine(options_, group, &links_[rank],
                                {[](const std::string&) {}, [](const std::string&) {}}, *files_);
      ASSERT_TRUE(engine.Start().ok());
      Region region;
      region.section.box = {"v", checkpoint::DType::kF64, {end.Given().size}, {rank}, {1}};
      region.section.bytes = std::as_writable_bytes(std::span(&value, 1));
      ASSERT_TRUE(engine.Add(region).ok());
      program(engine, links_[rank], &value, group.rank(), group);
    });
  }
  std::vector<uint64_t> Steps() const {
    std::vector<uint64_t> steps;
    const auto entries = checkpoint::ListCheckpoints(options_.job.checkpoints);
    if (!entries.ok()) return steps;
    for (auto entry = entries->rbegin(); entry != entries->rend(); ++entry) {
      if (entry->state == checkpoint::CheckpointState::kCommitted) {
        steps.push_back(entry->id.step);
      }
    }
    return steps;
  }
  ProgramEngine() {
    options_.job.checkpoints = folder_.File("ck");
    options_.job.keep = 0;
    options_.look_seconds = 0;
    options_.save_patience_seconds = 60;
  }

  TempFolder folder_;
  ProgramOptions options_;
  checkpoint::FileSystem* files_ = &checkpoint::PosixFiles();
  std::vector<OrderingLink> links_;
};

TEST_F(ProgramEngine, SavesWhenItIsOrderedOnceForEachOrder) {
  Run(3,
      [](ProgramCheckpoints& engine, OrderingLink& link, double* value, int rank, CountingGroup&) {
        ASSERT_TRUE(engine.Load().ok());
        for (uint64_t step = 1; step <= 30; ++step) {
          engine.Wait();
          *value = static_cast<double>(step);
          if (step == 7 && rank == 1) link.save = 1;
          if (step == 15 && rank == 2) link.save = 2;
          ASSERT_TRUE(engine.Step(step, "{}").ok());
        }
        ASSERT_TRUE(engine.Finish().ok());
      });
  EXPECT_THAT(Steps(), ElementsAre(7, 15, 30));
}

TEST_F(ProgramEngine, ASaveThatWasOrderedIsTriedAgainWhenItDoesNotReachStorage) {
  FailingFiles full("step-0000000005");
  files_ = &full;
  std::atomic<double> now = 0;
  options_.seconds = [&now] { return now.load(); };
  std::atomic<uint64_t> last = 0;
  Run(2, [&](ProgramCheckpoints& engine, OrderingLink& link, double* value, int rank,
             CountingGroup& group) {
    ASSERT_TRUE(engine.Load().ok());
    for (uint64_t step = 1; step <= 100'000; ++step) {
      engine.Wait();
      *value = static_cast<double>(step);
      if (step == 5 && rank == 1) link.save = 1;
      const auto saved = static_cast<std::byte>(link.done.empty() ? 0 : 1);
      const auto all = group.AllGatherBytes(std::span(&saved, 1));
      ASSERT_TRUE(all.ok());
      if (all->front().front() != std::byte{0}) break;  // rank 0 has committed it
      if (rank == 0) now = 3.0 * static_cast<double>(step);
      if (rank == 0) last = step;
      ASSERT_TRUE(group.AllGatherBytes({}).ok());
      ASSERT_TRUE(engine.Step(step, "{}").ok());
    }
    ASSERT_TRUE(engine.Finish().ok());
  });
  ASSERT_FALSE(Steps().empty()) << "given up after it had failed at step 5";
  EXPECT_GT(Steps().front(), 8u) << "ten seconds later, at three seconds a step";
  EXPECT_LE(Steps().front(), last);
}

TEST_F(ProgramEngine, AStopIsSeenByAllAtTheSameStepAndSaved) {
  std::mutex mutex;
  std::vector<uint64_t> stopped;
  Run(3,
      [&](ProgramCheckpoints& engine, OrderingLink& link, double* value, int rank, CountingGroup&) {
        ASSERT_TRUE(engine.Load().ok());
        uint64_t step = 0;
        while (step < 100 && !engine.stop_wanted()) {
          engine.Wait();
          *value = static_cast<double>(++step);
          if (step == 11 && rank == 2) link.stop = true;
          ASSERT_TRUE(engine.Step(step, "{}").ok());
        }
        ASSERT_TRUE(engine.Finish().ok());
        const std::lock_guard<std::mutex> lock(mutex);
        stopped.push_back(step);
      });
  EXPECT_THAT(stopped, ElementsAre(11, 11, 11));
  EXPECT_THAT(Steps(), ElementsAre(11));
  EXPECT_THAT(links_[0].done, ElementsAre(11));
}

TEST_F(ProgramEngine, WithoutAPermitNothingIsCommittedAndFinishSaysSo) {
  options_.final_save_seconds = 0;
  Run(2, [](ProgramCheckpoints& engine, OrderingLink& link, double* value, int, CountingGroup&) {
    link.permits = false;
    ASSERT_TRUE(engine.Load().ok());
    *value = 1;
    ASSERT_TRUE(engine.Step(1, "{}").ok());
    EXPECT_EQ(engine.Finish().code(), absl::StatusCode::kDeadlineExceeded);
  });
  EXPECT_THAT(Steps(), IsEmpty());
}

TEST_F(ProgramEngine, TimeCountsAsRankZerosClockSaysIt) {
  options_.job.every_seconds = 10;
  std::atomic<double> now = 0;
  options_.seconds = [&now] { return now.load(); };
  Run(2, [&](ProgramCheckpoints& engine, OrderingLink&, double* value, int rank,
             CountingGroup& group) {
    ASSERT_TRUE(engine.Load().ok());
    for (uint64_t step = 1; step <= 12; ++step) {
      engine.Wait();
      *value = static_cast<double>(step);
      ASSERT_TRUE(group.AllGatherBytes({}).ok());  // nobody looks at the clock while it moves
      if (rank == 0) now = 3.0 * static_cast<double>(step);
      ASSERT_TRUE(group.AllGatherBytes({}).ok());
      ASSERT_TRUE(engine.Step(step, "{}").ok());
    }
    ASSERT_TRUE(engine.Finish().ok());
  });
  EXPECT_THAT(Steps(), ElementsAre(4, 8, 12)) << "12 s, 24 s, and the end";
}

TEST_F(ProgramEngine, RegionsThatChangeWhileTheyAreCopiedAreRefused) {
  options_.job.every_steps = 1;
  Run(2, [](ProgramCheckpoints& engine, OrderingLink&, double* value, int, CountingGroup&) {
    ASSERT_TRUE(engine.Load().ok());
    *value = 1;
    ASSERT_TRUE(engine.Step(1, "{}").ok());
    *value = 2;
    const absl::Status refused = engine.Step(2, "{}");
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(std::string(refused.message()).find("call wait"), std::string::npos);
  });
}

// Whatever is wrong in the copy is no secret of its checksums.
TEST_F(ProgramEngine, ACopyThatIsNotTheLiveMemoryIsSteppedOver) {
  const auto go = [&](uint64_t from, uint64_t to, bool flips) {
    Run(2, [&](ProgramCheckpoints& engine, OrderingLink&, double* value, int rank,
               CountingGroup& group) {
      const auto loaded = engine.Load();
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      EXPECT_EQ(loaded->step, from);
      EXPECT_EQ(*value, static_cast<double>(from)) << rank;
      *value = static_cast<double>(to);
      ASSERT_TRUE(engine.Step(to, "{}").ok());
      if (flips && rank == 1) group.flip = value;
      ASSERT_TRUE(engine.Finish().ok());
    });
  };
  go(0, 1, false);
  go(1, 2, true);
  EXPECT_THAT(Steps(), ElementsAre(1, 2));
  go(1, 3, false);
}

TEST_F(ProgramEngine, ShortStepsAreNotAllTalkedAbout) {
  options_.look_seconds = 3600;  // every step is short
  Run(2, [](ProgramCheckpoints& engine, OrderingLink&, double* value, int, CountingGroup& group) {
    ASSERT_TRUE(engine.Load().ok());
    const int before = group.gathers;
    for (uint64_t step = 1; step <= 640; ++step) {
      engine.Wait();
      *value = static_cast<double>(step);
      ASSERT_TRUE(engine.Step(step, "{}").ok());
    }
    EXPECT_LE(group.gathers - before, 12) << "once in 64 steps";
    EXPECT_GE(group.gathers - before, 10);
    ASSERT_TRUE(engine.Finish().ok());
  });
  EXPECT_THAT(Steps(), Contains(640));
}

}  // namespace
}  // namespace muster::rank
