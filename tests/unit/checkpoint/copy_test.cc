#include "checkpoint/copy.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/digest.h"
#include "checkpoint/pin.h"
#include "checkpoint/verify.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/crash_files.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

namespace fs = std::filesystem;

TEST(Copy, IsTheSameCheckpointAndDoneOnce) {
  std::mt19937_64 random(3);
  const Model model = RandomModel(random, 40);
  TempFolder temp;
  const auto from = Save(temp.path() + "/a", {7, 2}, model, random, 3);
  ASSERT_TRUE(from.ok()) << from.status();
  ASSERT_TRUE(Pin(*from, "stays here").ok());
  const auto copy = CopyCheckpoint(*from, temp.path() + "/b");
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(copy->path, temp.path() + "/b/" + CheckpointFolder({7, 2}));
  EXPECT_EQ(*ReadCommit(copy->path), *ReadCommit(*from));
  EXPECT_TRUE(*LoadsBack(copy->path, model, random));
  EXPECT_FALSE(*IsPinned(copy->path));
  const auto again = CopyCheckpoint(*from, temp.path() + "/b");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->was_there);
}

TEST(Copy, NeverWritesOverWhatIsThere) {
  std::mt19937_64 random(4);
  TempFolder temp;
  const auto from = Save(temp.path() + "/a", {7, 1}, RandomModel(random, 9), random, 2);
  const auto other = Save(temp.path() + "/b", {7, 1}, RandomModel(random, 9), random, 2);
  const auto before = ReadCommit(*other);
  EXPECT_TRUE(absl::IsAlreadyExists(CopyCheckpoint(*from, temp.path() + "/b").status()));
  EXPECT_EQ(*ReadCommit(*other), *before);
  // A save in progress there is nobody's to touch either.
  fs::create_directories(temp.path() + "/c/" + CheckpointFolder({7, 1}) + "/data");
  EXPECT_TRUE(absl::IsAlreadyExists(CopyCheckpoint(*from, temp.path() + "/c").status()));
}

TEST(Copy, OfADamagedOneIsNotPublished) {
  std::mt19937_64 random(5);
  TempFolder temp;
  const auto from = Save(temp.path() + "/a", {7, 1}, RandomModel(random, 20), random, 2);
  std::fstream shard(*from + "/data/w00001.safetensors", std::ios::in | std::ios::out);
  shard.seekp(4100);
  shard.put('\x5a');
  shard.close();
  const auto copy = CopyCheckpoint(*from, temp.path() + "/b");
  EXPECT_TRUE(absl::IsDataLoss(copy.status())) << copy.status();
  EXPECT_TRUE(ListCheckpoints(temp.path() + "/b")->empty());
}

TEST(Copy, GoesOnInTheMiddleOfALargeFile) {
  std::mt19937_64 random(6);
  TempFolder temp;
  Model model;
  const Box box = WholeTensor("big", DType::kU8, {2 * kChunkBytes + 12345});
  model.tensors = {box};
  model.bytes["big"].assign(ByteCount(box), std::byte{7});
  const auto from = Save(temp.path() + "/a", {1, 1}, model, random, 1);
  ASSERT_TRUE(from.ok()) << from.status();
  const std::string partial = temp.path() + "/b/.tmp-copy-" + CheckpointFolder({1, 1}) + "/data";
  fs::create_directories(partial);
  const std::string file = partial + "/.tmp-w00000.safetensors";
  fs::copy_file(*from + "/data/w00000.safetensors", file);
  fs::resize_file(file, kChunkBytes + 777);  // one whole chunk and a torn one
  const auto copy = CopyCheckpoint(*from, temp.path() + "/b");
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(copy->bytes_resumed, kChunkBytes);
  EXPECT_TRUE(Verify(copy->path).ok());
}

// Killed or without power at every call: what has a checkpoint's name is whole, and the next try
// ends well.
TEST(Copy, AfterACrashAtEveryCallTheNextTryEndsWell) {
  std::mt19937_64 random(7);
  const Model model = RandomModel(random, 4);
  int points = 0;
  uint64_t resumed = 0;
  for (const auto survives : {CrashFiles::Survives::kDurableOnly, CrashFiles::Survives::kEverything,
                              CrashFiles::Survives::kSome}) {
    for (int at = 0;; ++at) {
      CrashFiles files;
      files.free_bytes = 1u << 30;
      ASSERT_TRUE(MakeFolders(files, "/a").ok());
      const auto from = Save("/a", {3, 1}, model, random, 2, files);
      ASSERT_TRUE(from.ok()) << from.status();
      files.CrashAt(files.calls() + at);
      const bool over = CopyCheckpoint(*from, "/b", nullptr, files).ok() && !files.crashed();
      files.Restart(survives, static_cast<uint64_t>(at));
      const auto listed = ListCheckpoints("/b", files);
      ASSERT_TRUE(listed.ok());
      for (const CheckpointEntry& entry : *listed) {
        EXPECT_TRUE(Verify(entry.path, nullptr, VerifyDepth::kEverything, files).ok()) << at;
      }
      const auto copy = CopyCheckpoint(*from, "/b", nullptr, files);
      ASSERT_TRUE(copy.ok()) << "crash at call " << at << ": " << copy.status();
      EXPECT_TRUE(*LoadsBack(copy->path, model, random, files));
      resumed += copy->bytes_resumed;
      ++points;
      if (over) break;
    }
  }
  EXPECT_GE(points, 60);
  EXPECT_GT(resumed, 0u);
}

}  // namespace
}  // namespace muster::checkpoint
