// Storage that fails or stands still while training goes on: what is told of it, what is tried
// again, and what is left.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "checkpoint/store.h"
#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"
#include "tests/unit/rank_checkpoint/failing_files.h"

namespace muster::trainer::loop {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Files of which some calls wait at a door.
class DoorFiles : public rank::FailingFiles {
 public:
  // kLink: commits; kCreate: everything that is written, of the steps whose folder has `word`.
  enum class Stands { kCreate, kLink };
  DoorFiles(Stands stands, std::string word)
      : rank::FailingFiles("no such word"), stands_(stands), word_(std::move(word)) {}

  absl::StatusOr<std::unique_ptr<checkpoint::WritableFile>> Create(
      const std::string& path) override {
    if (stands_ == Stands::kCreate) WaitAtDoor(path);
    return rank::FailingFiles::Create(path);
  }
  absl::Status Link(const std::string& existing, const std::string& name) override {
    if (stands_ == Stands::kLink) WaitAtDoor(name);
    return rank::FailingFiles::Link(existing, name);
  }
  void OpenDoor() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_ = true;
    }
    opened_.notify_all();
  }
  bool waited() const { return waited_; }

 private:
  void WaitAtDoor(const std::string& path) {
    if (path.find(word_) == std::string::npos) return;
    std::unique_lock<std::mutex> lock(mutex_);
    if (!open_) waited_ = true;
    opened_.wait(lock, [this] { return open_; });
  }

  const Stands stands_;
  const std::string word_;
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  std::atomic<bool> waited_ = false;
};

// Opens the door when training has come so far while it was shut.
class OpeningLink : public FakeLink {
 public:
  OpeningLink(DoorFiles& files, uint64_t step)
      : FakeLink(Commits::kPermitted), files_(files), step_(step) {}
  void Publish(const muster_rank_status& status, double straggler_seconds,
               bool from_memory) override {
    FakeLink::Publish(status, straggler_seconds, from_memory);
    if (status.step >= step_) files_.OpenDoor();
  }

 private:
  DoorFiles& files_;
  const uint64_t step_;
};

// One call fails, once or always.
class OnceFailing : public rank::FailingFiles {
 public:
  enum class Fails { kLink, kSyncAfterLink };
  OnceFailing(Fails fails, std::string word)
      : rank::FailingFiles("no such word"), fails_(fails), word_(std::move(word)) {}

  absl::Status Link(const std::string& existing, const std::string& name) override {
    const bool hit = name.find(word_) != std::string::npos && !failed_;
    if (hit && fails_ == Fails::kLink) return Fail(name);
    const absl::Status linked = rank::FailingFiles::Link(existing, name);
    if (hit) linked_ = true;
    return linked;
  }
  absl::Status SyncFolder(const std::string& path) override {
    if (linked_ && !failed_ && path.find(word_) != std::string::npos) return Fail(path);
    return rank::FailingFiles::SyncFolder(path);
  }

 private:
  absl::Status Fail(const std::string& path) {
    failed_ = true;
    return absl::InternalError("sync " + path + ": input/output error");
  }

  const Fails fails_;
  const std::string word_;
  std::atomic<bool> linked_ = false;
  std::atomic<bool> failed_ = false;
};

class StorageTrouble : public testing::Test {
 protected:
  // Over two ranks, saved at every other step.
  Job SavingJob(int steps, const std::string& name = "ck") const {
    Job job = {.mesh = "data: 2", .save_every = 2, .checkpoints = folder_.path() + "/" + name};
    job.steps = steps;
    job.attempt = 1;
    job.permitted.emplace();
    job.final_save_seconds = 30;
    return job;
  }
  // With its own link for rank 0, and files for the ranks.
  static JobOutcome Run(Job job, FakeLink& link, checkpoint::FileSystem& rank0,
                        checkpoint::FileSystem& rank1) {
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    job.files = [&](int rank) { return rank == 0 ? &rank0 : &rank1; };
    return RunJob(job);
  }
  void ExpectSameWeights(const Job& job) const {
    Job plain = SavingJob(job.steps, "undisturbed");
    plain.permitted.reset();
    const JobOutcome outcome = RunJob(plain);
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    const auto last = static_cast<uint64_t>(job.steps);
    EXPECT_EQ(ReadTensors(CheckpointOf(job.checkpoints, last)),
              ReadTensors(CheckpointOf(plain.checkpoints, last)));
  }

  TempFolder folder_;
};

TEST_F(StorageTrouble, TrainingGoesOnWhileAShardStandsStill) {
  for (const int slow : {0, 1}) {
    Job job = SavingJob(40, fmt::format("rank{}", slow));
    job.save_patience_seconds = 0.05;
    DoorFiles files(DoorFiles::Stands::kCreate, "step-0000000004");
    OpeningLink link(files, 30);
    const JobOutcome outcome = slow == 0 ? Run(job, link, files, checkpoint::PosixFiles())
                                         : Run(job, link, checkpoint::PosixFiles(), files);
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    EXPECT_TRUE(files.waited());
    EXPECT_THAT(outcome.problems, Contains(HasSubstr("is put off: earlier ones are still on")));
    EXPECT_THAT(link.done, Contains(4u)) << "it came through in the end";
    EXPECT_EQ(link.done.back(), 40u);
    ExpectSameWeights(job);
  }
}

TEST_F(StorageTrouble, TrainingGoesOnWhileACommitStandsStill) {
  Job job = SavingJob(40);
  job.save_patience_seconds = 0.05;
  DoorFiles files(DoorFiles::Stands::kLink, "step-0000000004");
  OpeningLink link(files, 30);
  const JobOutcome outcome = Run(job, link, files, files);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_TRUE(files.waited());
  EXPECT_THAT(link.done, Contains(4u));
  EXPECT_EQ(link.done.back(), 40u);
  ExpectSameWeights(job);
}

TEST_F(StorageTrouble, AStandstillAtTheLastSaveIsWaitedFor) {
  Job job = SavingJob(6);
  job.save_patience_seconds = 0.05;
  DoorFiles files(DoorFiles::Stands::kCreate, "step-0000000004");
  OpeningLink link(files, 6);
  const JobOutcome outcome = Run(job, link, files, files);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_EQ(link.done.back(), 6u);
}

TEST_F(StorageTrouble, IsToldOnceAndOnceWhenItIsOver) {
  Job job = SavingJob(12);
  rank::FailingFiles files("step-000000000");  // steps 2 to 8
  FakeLink link(FakeLink::Commits::kPermitted);
  const JobOutcome outcome = Run(job, link, checkpoint::PosixFiles(), files);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  ASSERT_EQ(link.troubles.size(), 2u);
  EXPECT_THAT(link.troubles[0],
              testing::AllOf(HasSubstr("save of step 2 failed: rank 1: "),
                             HasSubstr("no space left"), HasSubstr("training goes on, next try")));
  EXPECT_EQ(link.troubles[1], "") << "over";
  EXPECT_EQ(outcome.problems.size(), 4u) << "each failure is a line of the log";
  EXPECT_THAT(link.done, ElementsAre(10, 12));
}

TEST_F(StorageTrouble, WhatAFailedSaveHasWrittenIsGone) {
  Job job = SavingJob(6);
  job.final_save_seconds = 0;
  rank::FailingFiles files("step-");
  FakeLink link(FakeLink::Commits::kPermitted);
  const JobOutcome outcome = Run(job, link, checkpoint::PosixFiles(), files);
  EXPECT_FALSE(outcome.ok());
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(job.checkpoints)) {
    left.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(left, ElementsAre("step-0000000006.a1")) << "which was the last, and tried again";
}

TEST_F(StorageTrouble, ACommitThatFailsIsTriedAgain) {
  for (const auto fails : {OnceFailing::Fails::kLink, OnceFailing::Fails::kSyncAfterLink}) {
    Job job = SavingJob(6, fails == OnceFailing::Fails::kLink ? "link" : "sync");
    OnceFailing files(fails, "step-0000000006");
    FakeLink link(FakeLink::Commits::kPermitted);
    const JobOutcome outcome = Run(job, link, files, checkpoint::PosixFiles());
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    EXPECT_THAT(link.done, ElementsAre(2, 4, 6));
    EXPECT_THAT(link.requested, ElementsAre(2, 4, 6)) << "its shards were not written again";
    ASSERT_EQ(link.troubles.size(), 2u);
    EXPECT_THAT(link.troubles[0], HasSubstr("commit of step 6 failed: "));
    EXPECT_THAT(outcome.out, Contains("saves reach storage again: step 6 is committed"));
  }
}

TEST_F(StorageTrouble, WithoutRoomForSlotsThereIsOneLineUntilThereIsSome) {
  Job job = SavingJob(60);
  job.ram_every = 1;
  const std::string vault = folder_.path() + "/vault";
  std::filesystem::create_directory(vault);
  FakeLink link(FakeLink::Commits::kPermitted);
  job.vault = [&](int) { return rank::VaultOptions{vault, 1000, 0, false}; };
  const JobOutcome outcome = Run(job, link, checkpoint::PosixFiles(), checkpoint::PosixFiles());
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  ASSERT_EQ(link.troubles.size(), 1u);
  EXPECT_THAT(link.troubles[0], HasSubstr("rank 0: no RAM slots"));
  EXPECT_TRUE(std::filesystem::is_empty(vault));
}

}  // namespace
}  // namespace muster::trainer::loop
