#include "rank/checkpoint/load_state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/sample_model.h"
#include "trainer/collective/in_process/in_process.h"

namespace muster::rank {
namespace {

using checkpoint::Box;
using checkpoint::Bytes;
using checkpoint::Manifest;
using checkpoint::Model;

// One rank of a load: where it is, what it has and what it wants.
struct Loader {
  uint64_t node = 0;
  std::vector<size_t> in_memory;  // files it gives out
  std::vector<Box> wants;
  std::vector<Bytes> got;
  absl::StatusOr<LoadedBytes> loaded = absl::UnknownError("not run");
};

class LoadStateTest : public testing::Test {
 protected:
  void SaveModel(Model model, size_t writers) {
    model_ = std::move(model);
    const auto folder = checkpoint::Save(temp_.path(), {++step_, 1}, model_, random_, writers);
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
    manifest_ = *checkpoint::ReadManifest(folder_);
    images_.clear();
    for (const checkpoint::FileRecord& file : manifest_.files) {
      std::ifstream in(folder_ + "/" + file.name, std::ios::binary);
      Bytes image(file.size);
      in.read(reinterpret_cast<char*>(image.data()), static_cast<std::streamsize>(image.size()));
      ASSERT_TRUE(in.good());
      images_.push_back(std::move(image));
    }
  }

  void Run(std::vector<Loader>& loaders, bool on_storage, uint64_t round_bytes) {
    auto world = trainer::collective::MakeInProcessWorld(static_cast<int>(loaders.size()));
    std::vector<std::thread> threads;
    for (size_t r = 0; r < loaders.size(); ++r) {
      threads.emplace_back([&, r] {
        Loader& me = loaders[r];
        std::vector<checkpoint::Request> requests;
        me.got.clear();
        for (const Box& box : me.wants) me.got.emplace_back(checkpoint::ByteCount(box));
        for (size_t i = 0; i < me.wants.size(); ++i) requests.push_back({me.wants[i], me.got[i]});
        LoadSources sources;
        sources.node = me.node;
        sources.round_bytes = round_bytes;
        if (on_storage) sources.folder = folder_;
        for (const size_t file : me.in_memory) sources.shards.push_back({file, images_[file]});
        me.loaded = LoadState(manifest_, requests, sources, *world[r], checkpoint::PosixFiles());
        world[r].reset();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void ExpectAllRight(const std::vector<Loader>& loaders, const std::string& which) {
    for (size_t r = 0; r < loaders.size(); ++r) {
      const Loader& me = loaders[r];
      ASSERT_TRUE(me.loaded.ok()) << which << ", rank " << r << ": " << me.loaded.status();
      uint64_t wanted = 0;
      for (size_t i = 0; i < me.wants.size(); ++i) {
        wanted += me.got[i].size();
        ASSERT_EQ(me.got[i], checkpoint::CutOut(model_, me.wants[i]))
            << which << ", rank " << r << ", " << checkpoint::BoxText(me.wants[i]);
      }
      EXPECT_EQ(me.loaded->all(), wanted) << which << ", rank " << r;
    }
  }

  // What the ranks of one node need of storage, in whole chunks.
  uint64_t ChunkBytesNeeded(const std::vector<Loader>& loaders, uint64_t node,
                            const std::set<size_t>& in_memory) {
    std::set<std::pair<size_t, uint64_t>> chunks;
    for (const Loader& one : loaders) {
      if (one.node != node) continue;
      std::vector<Bytes> room;
      std::vector<checkpoint::Request> requests;
      for (const Box& box : one.wants) room.emplace_back(checkpoint::ByteCount(box));
      for (size_t i = 0; i < room.size(); ++i) requests.push_back({one.wants[i], room[i]});
      const auto plan = checkpoint::PlanLoad(manifest_, requests);
      EXPECT_TRUE(plan.ok());
      for (const auto& [file, transfers] : *plan) {
        if (in_memory.contains(file)) continue;
        for (const auto& transfer : transfers) {
          chunks.emplace(file, transfer.from / checkpoint::kChunkBytes);
        }
      }
    }
    uint64_t bytes = 0;
    for (const auto& [file, index] : chunks) {
      bytes += std::min(checkpoint::kChunkBytes,
                        manifest_.files[file].size - index * checkpoint::kChunkBytes);
    }
    return bytes;
  }

  std::mt19937_64 random_{11};
  TempFolder temp_;
  Model model_;
  uint64_t step_ = 0;
  std::string folder_;
  Manifest manifest_;
  std::vector<Bytes> images_;
};

TEST_F(LoadStateTest, AnyMixOfTiersFillsAnyLayoutAndANodeReadsAByteOnce) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const std::string which = "seed " + std::to_string(seed);
    random_.seed(seed);
    ASSERT_NO_FATAL_FAILURE(
        SaveModel(checkpoint::RandomModel(random_, 1 + random_() % 40), 1 + random_() % 5));
    std::vector<Loader> loaders(1 + random_() % 6);
    for (Loader& one : loaders) {
      one.node = random_() % 3;
      for (const Box& whole : model_.tensors) {
        for (Box& part : checkpoint::RandomCuts(whole, random_, 1 + random_() % 4)) {
          if (random_() % 3 != 0) one.wants.push_back(std::move(part));
        }
      }
    }
    const bool on_storage = random_() % 4 != 0;
    std::set<size_t> in_memory;
    for (size_t file = 0; file < manifest_.files.size(); ++file) {
      if (on_storage && random_() % 2 == 0) continue;
      loaders[random_() % loaders.size()].in_memory.push_back(file);
      in_memory.insert(file);
    }
    Run(loaders, on_storage, random_() % 2 == 0 ? 1 : kRoundBytes);
    ASSERT_NO_FATAL_FAILURE(ExpectAllRight(loaders, which));
    for (uint64_t node = 0; node < 3; ++node) {
      uint64_t read = 0;
      for (const Loader& one : loaders) read += one.node == node ? one.loaded->read : 0;
      EXPECT_EQ(read, ChunkBytesNeeded(loaders, node, in_memory)) << which << ", node " << node;
    }
  }
}

TEST_F(LoadStateTest, ManyChunksInManyRounds) {
  Model model;
  model.tensors.push_back(checkpoint::WholeTensor("big", checkpoint::DType::kF32, {3, 1000, 3000}));
  Bytes& bytes = model.bytes["big"];
  bytes.resize(checkpoint::ByteCount(model.tensors[0]));
  for (size_t i = 0; i < bytes.size(); i += 64) bytes[i] = static_cast<std::byte>(random_());
  ASSERT_NO_FATAL_FAILURE(SaveModel(std::move(model), 1));
  ASSERT_EQ(manifest_.files.size(), 1u);
  ASSERT_GT(manifest_.files[0].size, 2 * checkpoint::kChunkBytes);
  for (const bool memory : {false, true}) {
    std::vector<Loader> loaders(4);
    for (size_t r = 0; r < 4; ++r) {
      loaders[r].node = r / 2;
      loaders[r].wants = {model_.tensors[0]};
    }
    // A column of its own for one of them: thousands of short runs.
    Box column = model_.tensors[0];
    column.offset[2] = 1234;
    column.extent[2] = 7;
    loaders[3].wants = {column};
    if (memory) loaders[1].in_memory = {0};
    Run(loaders, !memory, 1 << 20);
    ASSERT_NO_FATAL_FAILURE(ExpectAllRight(loaders, memory ? "memory" : "storage"));
    if (memory) continue;
    for (size_t first : {0u, 2u}) {
      EXPECT_EQ(loaders[first].loaded->read + loaders[first + 1].loaded->read,
                manifest_.files[0].size);
      EXPECT_GT(loaders[first].loaded->read, 0u) << "both of a node read";
      EXPECT_GT(loaders[first + 1].loaded->read, 0u);
    }
  }
}

TEST_F(LoadStateTest, DamageIsEverybodysErrorUnlessMemoryHasTheShard) {
  ASSERT_NO_FATAL_FAILURE(SaveModel(checkpoint::RandomModel(random_, 30), 3));
  const std::string file = folder_ + "/" + manifest_.files[1].name;
  {
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<std::streamoff>(manifest_.files[1].size / 2));
    const char other =
        static_cast<char>(~std::to_integer<int>(images_[1][manifest_.files[1].size / 2]));
    out.write(&other, 1);
  }
  std::vector<Loader> loaders(3);
  for (size_t r = 0; r < 3; ++r) loaders[r].node = r;
  // Whoever does not touch the damaged file is told as well.
  loaders[0].wants = model_.tensors;
  Run(loaders, true, kRoundBytes);
  for (const Loader& one : loaders) {
    EXPECT_TRUE(absl::IsDataLoss(one.loaded.status())) << one.loaded.status();
    EXPECT_NE(one.loaded.status().message().find(manifest_.files[1].name), std::string::npos)
        << one.loaded.status();
  }
  loaders[2].in_memory = {1};
  Run(loaders, true, kRoundBytes);
  ExpectAllRight(loaders, "the damaged one from memory");
}

TEST_F(LoadStateTest, WhatNobodyHasIsSaidByName) {
  ASSERT_NO_FATAL_FAILURE(SaveModel(checkpoint::RandomModel(random_, 30), 3));
  std::vector<Loader> loaders(2);
  loaders[1].wants = model_.tensors;
  loaders[0].in_memory = {0, 2};
  Run(loaders, false, kRoundBytes);
  for (const Loader& one : loaders) {
    EXPECT_TRUE(absl::IsDataLoss(one.loaded.status())) << one.loaded.status();
    EXPECT_NE(one.loaded.status().message().find(manifest_.files[1].name), std::string::npos)
        << one.loaded.status();
  }
}

}  // namespace
}  // namespace muster::rank
