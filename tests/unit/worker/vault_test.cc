// The vault: whose folders it keeps, and that what is drained from it is what was sealed.
#include "worker/vault/vault.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "checkpoint/slot_file.h"
#include "checkpoint/store.h"
#include "tests/support/slots.h"
#include "tests/support/temp_folder.h"
#include "worker/vault/drain.h"
#include "worker/vault/drainer.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class DrainTest : public testing::Test {
 protected:
  DrainTest() { std::filesystem::create_directory(vault()); }

  std::string vault() const { return folder_.path() + "/vault"; }
  std::string root() const { return folder_.path() + "/ckpt"; }
  std::string ShardPath(uint64_t step) const {
    return root() + "/" + checkpoint::CheckpointFolder({step, 2}) + "/data/w00003.safetensors";
  }

  // Rank 3's slot, to be drained.
  SlotFile Sealed(uint64_t step, size_t floats, char letter = 'a') {
    return SealSlot(vault(), {"gpt-1-abc", step, 2, 3, 8}, letter, floats, {.drain = true}, root());
  }
  std::vector<std::string> FilesOf(uint64_t step) const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(
             std::filesystem::path(ShardPath(step)).parent_path(), error)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  static uint32_t WaitDone(const SlotFile& file) {
    constexpr uint32_t kDone = checkpoint::kSlotPersisted | checkpoint::kSlotDrainGivenUp;
    uint32_t marks = 0;
    for (int i = 0; i < 300 && (marks & kDone) == 0; ++i) {
      marks = file.slot().WaitForMark(kDone, 100);
    }
    return marks & kDone;
  }

  TempFolder folder_;
};

TEST_F(DrainTest, TheShardIsTheSlotsByteForByte) {
  // Odd sizes around pieces and chunks, and less than a page.
  const size_t kFloats[] = {1, 1000, 1u << 20, (1u << 20) + 1, (4u << 20) + 77, 9'000'001};
  uint64_t step = 0;
  for (const size_t floats : kFloats) {
    for (const int lanes : {1, 3}) {
      SlotFile file = Sealed(++step, floats);
      DrainOptions options;
      options.lanes = lanes;
      const auto drained = DrainSlot(file, options, [] { return true; });
      ASSERT_TRUE(drained.ok()) << drained.status();
      EXPECT_EQ(drained->bytes, ImageOf(file).size());
      EXPECT_TRUE(ReadText(ShardPath(step)) == ImageOf(file)) << floats << " floats";
      EXPECT_THAT(FilesOf(step), ElementsAre("w00003.safetensors"));
      file.slot().Mark(checkpoint::kSlotPersisted);
    }
  }
}

TEST_F(DrainTest, DamagedMemoryNeverGetsAName) {
  const SlotFile file = Sealed(5, 9'000'000);
  const auto content = file.slot().Read();
  const auto image = file.slot().image(*content);
  const_cast<std::byte&>(image[20'000'000]) ^= std::byte{1};
  const auto drained = DrainSlot(file, {}, [] { return true; });
  EXPECT_EQ(drained.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(drained.status().message()), HasSubstr("damaged in memory"));
  EXPECT_THAT(FilesOf(5), IsEmpty());
}

TEST_F(DrainTest, StopsWhenNobodyWaits) {
  const SlotFile file = Sealed(5, 9'000'000);
  std::atomic<int> asked = 0;
  const auto drained = DrainSlot(file, {}, [&] { return ++asked < 4; });
  EXPECT_EQ(drained.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(FilesOf(5), IsEmpty());
}

TEST_F(DrainTest, WhatStorageSaysIsTold) {
  const SlotFile file = Sealed(5, 1000);
  std::ofstream(root()) << "a file where the folder should be";
  const auto drained = DrainSlot(file, {}, [] { return true; });
  EXPECT_FALSE(drained.ok());
  EXPECT_THAT(std::string(drained.status().message()), HasSubstr("ckpt"));
}

TEST_F(DrainTest, ACommittedCheckpointIsLeftAlone) {
  const SlotFile file = Sealed(5, 1000);
  const auto folder = checkpoint::PrepareCheckpointFolder(root(), {5, 2});
  ASSERT_TRUE(folder.ok()) << folder.status();
  std::ofstream(*folder + "/COMMIT") << "there";
  EXPECT_EQ(DrainSlot(file, {}, [] { return true; }).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(DrainTest, TheDrainerHearsOfSealedSlotsAndOfThoseOfItsLifeBefore) {
  const SlotFile before = Sealed(5, 1000);
  ASSERT_TRUE(before.slot().state() == checkpoint::SlotState::kSealed);
  SlotFile held = Sealed(6, 1000, 'b');
  ASSERT_TRUE(held.slot().Hold(checkpoint::kHeldByDrain)) << "its worker died in the drain";
  ClearHolds(vault());
  Drainer drainer({});
  ASSERT_TRUE(drainer.Start().ok());
  drainer.Watch(vault());
  EXPECT_EQ(WaitDone(before), static_cast<uint32_t>(checkpoint::kSlotPersisted));
  EXPECT_EQ(WaitDone(held), static_cast<uint32_t>(checkpoint::kSlotPersisted));
  EXPECT_TRUE(ReadText(ShardPath(5)) == ImageOf(before));
  EXPECT_TRUE(ReadText(ShardPath(6)) == ImageOf(held));
  while (held.slot().held()) std::this_thread::yield();
  const SlotFile next = Sealed(7, 1000, 'b');
  utimensat(AT_FDCWD, next.path().c_str(), nullptr, 0);
  EXPECT_EQ(WaitDone(next), static_cast<uint32_t>(checkpoint::kSlotPersisted));
  EXPECT_TRUE(ReadText(ShardPath(7)) == ImageOf(next));
}

TEST_F(DrainTest, TheRankLearnsWhyItWasGivenUp) {
  std::ofstream(root()) << "a file where the folder should be";
  const SlotFile file = Sealed(5, 1000);
  Drainer drainer({});
  ASSERT_TRUE(drainer.Start().ok());
  drainer.Watch(vault());
  EXPECT_EQ(WaitDone(file), static_cast<uint32_t>(checkpoint::kSlotDrainGivenUp));
  EXPECT_FALSE(file.slot().DrainError().ok());
  EXPECT_THAT(std::string(file.slot().DrainError().message()), HasSubstr("ckpt"));
}

TEST(Vault, KeepsFoldersForItsOwnerAlone) {
  const std::string folder = "/dev/shm/muster-vault-test-" + std::to_string(getpid());
  auto vault = Vault::Open({folder, 1 << 20, 4});
  ASSERT_TRUE(vault.ok()) << vault.status();
  EXPECT_TRUE(vault->on());
  EXPECT_THAT(vault->Jobs(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder)) << "an idle node keeps nothing";
  ASSERT_TRUE(vault->Add("gpt-2-ab").ok());
  ASSERT_TRUE(vault->Add("gpt-1-ab").ok());
  ASSERT_TRUE(vault->Add("gpt-1-ab").ok()) << "again, for its next attempt";
  struct stat info {};
  ASSERT_EQ(stat(vault->FolderOf("gpt-1-ab").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
  EXPECT_THAT(vault->Jobs(), ElementsAre("gpt-1-ab", "gpt-2-ab"));
  EXPECT_EQ(vault->RankBytes(2), (1u << 20) / 2);
  std::ofstream(vault->FolderOf("gpt-1-ab") + "/r00000.a") << "slot";
  ASSERT_TRUE(vault->Remove("gpt-1-ab").ok());
  ASSERT_TRUE(vault->Remove("gpt-1-ab").ok()) << "it is gone already";
  EXPECT_THAT(vault->Jobs(), ElementsAre("gpt-2-ab"));
  ASSERT_TRUE(vault->Remove("gpt-2-ab").ok());
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(Vault, IsMemoryOrRefused) {
  const auto refused = Vault::Open({"/proc/vault", 1 << 20, 1});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("is not memory"));
  const auto off = Vault::Open({"/proc/vault", 0, 1});
  ASSERT_TRUE(off.ok());
  EXPECT_FALSE(off->on());
}

TEST(Vault, RefusesAFolderThatOthersMayRead) {
  const std::string folder = "/dev/shm/muster-vault-open-" + std::to_string(getpid());
  ASSERT_EQ(mkdir(folder.c_str(), 0777), 0);
  chmod(folder.c_str(), 0777);
  auto vault = Vault::Open({folder, 1 << 20, 1});
  ASSERT_TRUE(vault.ok());
  EXPECT_EQ(vault->Add("gpt-1-ab").code(), absl::StatusCode::kFailedPrecondition);
  for (const char* name : {"", "..", "a/b", ".hidden"}) {
    EXPECT_EQ(vault->Add(name).code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(vault->Remove(name).code(), absl::StatusCode::kInvalidArgument) << name;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace muster::worker::vault
