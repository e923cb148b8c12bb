// Saves that run beside training: the shard holds the state of its step, whatever happens after.
#include "rank/checkpoint/background_save.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <numeric>

#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "rank/checkpoint/save_memory.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/rank_checkpoint/failing_files.h"

namespace muster::rank {
namespace {

using testing::HasSubstr;

// A disk on which nothing can be created until the door is opened.
class SlowFiles : public FailingFiles {
 public:
  SlowFiles() : FailingFiles("no such word") {}

  absl::StatusOr<std::unique_ptr<checkpoint::WritableFile>> Create(
      const std::string& path) override {
    std::unique_lock<std::mutex> lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
    return FailingFiles::Create(path);
  }
  void LetThrough() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_ = true;
    }
    opened_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

class BackgroundSaveTest : public testing::Test {
 protected:
  BackgroundSaveTest() { std::iota(weights_.begin(), weights_.end(), 1.0f); }

  std::vector<Section> Sections() {
    return {{checkpoint::WholeTensor("w", checkpoint::DType::kF32, {kCount}),
             std::as_writable_bytes(std::span(weights_))}};
  }
  SaveOrder Order(const checkpoint::CheckpointId& id) {
    SaveOrder order;
    order.root = folder_.path();
    order.id = id;
    order.writer = "w00000";
    order.sections = Sections();
    order.slot_id = {"job", id.step, id.attempt, 0, 1};
    return order;
  }
  // An order for a slot that has room for it.
  SaveOrder SlotOrder(const checkpoint::CheckpointId& id) {
    SaveOrder order = Order(id);
    if (!slot_.mapped()) {
      const auto layout = checkpoint::LayOutShard("w00000", std::vector{order.sections[0].box});
      auto file = checkpoint::SlotFile::Reserve(folder_.path() + "/r00000.a",
                                                checkpoint::SlotBytes(*layout));
      EXPECT_TRUE(file.ok()) << file.status();
      slot_ = *std::move(file);
    }
    order.slot = &slot_;
    return order;
  }
  // What the shard says the weights were.
  std::vector<float> Saved(const checkpoint::CheckpointId& id, const std::string& digest) const {
    const auto parsed = checkpoint::ParseDigest(digest);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    const auto manifest =
        checkpoint::BuildManifest(id.step, id.attempt, "job", {}, std::vector{*parsed});
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    const std::string folder = folder_.path() + "/" + checkpoint::CheckpointFolder(id);
    EXPECT_TRUE(checkpoint::WriteManifest(folder, *manifest).ok());
    EXPECT_TRUE(
        checkpoint::Commit(folder, {id.step, id.attempt, /*epoch=*/0, manifest->sha256}).ok());
    std::vector<float> read(kCount);
    const std::vector<checkpoint::Request> requests = {
        {checkpoint::WholeTensor("w", checkpoint::DType::kF32, {kCount}),
         std::as_writable_bytes(std::span(read))}};
    const auto loaded = checkpoint::Load(folder, *manifest, requests);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return read;
  }

  static constexpr size_t kCount = 100'000;
  std::vector<float> weights_ = std::vector<float>(kCount);
  TempFolder folder_;
  checkpoint::SlotFile slot_;
};

TEST_F(BackgroundSaveTest, WhatChangesAfterTheCopyIsNotSaved) {
  SlowFiles files;
  BackgroundSave save(files);
  const std::vector<float> then = weights_;
  save.Begin(Order({7, 1}));
  save.WaitCopied();  // while nothing is on the disk yet
  EXPECT_FALSE(save.written());
  std::fill(weights_.begin(), weights_.end(), -1.0f);
  files.LetThrough();
  const auto digest = save.Take();
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(Saved({7, 1}, *digest), then);
  EXPECT_EQ(save.why_not_copied(), "");
}

TEST_F(BackgroundSaveTest, IsUsedAgainAndAgain) {
  BackgroundSave save(checkpoint::PosixFiles());
  for (uint64_t step = 1; step <= 5; ++step) {
    weights_[step] = -static_cast<float>(step);
    const std::vector<float> then = weights_;
    save.Begin(Order({step, 1}));
    save.WaitCopied();
    weights_[0] += 1;
    const auto digest = save.Take();
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(Saved({step, 1}, *digest), then) << "step " << step;
  }
}

TEST_F(BackgroundSaveTest, AFullDiskIsToldByTake) {
  FailingFiles files("step-");
  BackgroundSave save(files);
  save.Begin(Order({7, 1}));
  save.WaitCopied();
  const auto digest = save.Take();
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(digest.status().message()), HasSubstr("no space left"));
  FailingFiles fine("no such word");
  BackgroundSave next(fine);
  next.Begin(Order({8, 1}));
  EXPECT_TRUE(next.Take().ok());
}

TEST_F(BackgroundSaveTest, ThroughASlotReachesTheDiskToo) {
  BackgroundSave save(checkpoint::PosixFiles());
  for (uint64_t step = 1; step <= 3; ++step) {
    weights_[step] = -static_cast<float>(step);
    const std::vector<float> then = weights_;
    save.Begin(SlotOrder({step, 1}));
    save.WaitCopied();
    weights_[0] += 1;
    const auto digest = save.Take();
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(save.fill(), BackgroundSave::Fill::kSealed);
    EXPECT_EQ(Saved({step, 1}, *digest), then) << "step " << step;
    EXPECT_NE(slot_.slot().marks() & checkpoint::kSlotPersisted, 0u);
  }
}

TEST_F(BackgroundSaveTest, InASlotAloneNeedsNoDisk) {
  FailingFiles files("step-");
  BackgroundSave save(files);
  SaveOrder order = SlotOrder({7, 1});
  order.durable = false;
  save.Begin(std::move(order));
  save.WaitFilled();
  const auto digest = save.Take();
  ASSERT_TRUE(digest.ok()) << digest.status();
  const auto content = slot_.slot().Read();
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->id.step, 7u);
  EXPECT_TRUE(slot_.slot().VerifyImage(*content).ok());
  EXPECT_FALSE(slot_.slot().held());
}

TEST_F(BackgroundSaveTest, ASlotThatIsReadStaysAsItIsAndTheDiskGetsTheStep) {
  BackgroundSave save(checkpoint::PosixFiles());
  save.Begin(SlotOrder({7, 1}));
  ASSERT_TRUE(save.Take().ok());
  ASSERT_TRUE(slot_.slot().Hold(checkpoint::kHeldByReplication));
  const std::vector<float> then = weights_;
  save.Begin(SlotOrder({8, 1}));
  save.WaitCopied();
  EXPECT_EQ(save.fill(), BackgroundSave::Fill::kFailed);
  weights_[0] += 1;
  const auto digest = save.Take();
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(Saved({8, 1}, *digest), then);
  EXPECT_EQ(slot_.slot().Read()->id.step, 7u);
}

TEST_F(BackgroundSaveTest, AFullDiskLeavesTheSlotAndSaysWhy) {
  FailingFiles files("step-");
  BackgroundSave save(files);
  save.Begin(SlotOrder({7, 1}));
  const auto digest = save.Take();
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(slot_.slot().DrainError().message()), HasSubstr("no space left"));
  EXPECT_FALSE(slot_.slot().held());
  EXPECT_EQ(slot_.slot().Read()->id.step, 7u);
}

TEST_F(BackgroundSaveTest, AWorkerMayWriteTheSlot) {
  BackgroundSave save(checkpoint::PosixFiles());
  SaveOrder order = SlotOrder({7, 1});
  order.worker_drains = true;
  save.Begin(std::move(order));
  save.WaitFilled();
  EXPECT_FALSE(save.written());
  EXPECT_TRUE(slot_.slot().awaits_drain());
  slot_.slot().Mark(checkpoint::kSlotPersisted);
  EXPECT_TRUE(save.Take().ok());
}

TEST_F(BackgroundSaveTest, EndsWithoutTheWorkerThatNeverCame) {
  BackgroundSave save(checkpoint::PosixFiles());
  SaveOrder order = SlotOrder({7, 1});
  order.worker_drains = true;
  save.Begin(std::move(order));
  save.WaitFilled();
}

TEST_F(BackgroundSaveTest, EndsWithASaveOnItsWay) {
  {
    BackgroundSave save(checkpoint::PosixFiles());
    save.Begin(Order({7, 1}));
  }
  weights_.clear();  // nobody reads it any more
}

TEST(SaveMemoryTest, IsRefusedWhenTheMachineHasNotThatMuch) {
  SaveMemory memory;
  const uint64_t available = AvailableMemory();
  ASSERT_GT(available, 0u);
  const absl::Status refused = memory.Reserve(available + (1ull << 30));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("MB available"));
  EXPECT_TRUE(memory.bytes().empty());
  ASSERT_TRUE(memory.Reserve(1 << 20).ok());
  const std::byte* at = memory.bytes().data();
  ASSERT_TRUE(memory.Reserve(1 << 10).ok());
  EXPECT_EQ(memory.bytes().data(), at) << "a smaller one takes the memory there is";
}

}  // namespace
}  // namespace muster::rank
