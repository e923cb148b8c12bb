// rank/muster_checkpoint.h, as a program uses it.
#include "tests/unit/rank_checkpoint/program.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>

#include "checkpoint/slot_file.h"
#include "checkpoint/store.h"
#include "tests/support/temp_folder.h"

namespace muster::rank {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() : environment_({{"MUSTER_CHECKPOINTS", Root()}}) {}

  std::string Root() const { return folder_.File("ck"); }
  void NextAttempt() { environment_.Set("MUSTER_ATTEMPT", std::to_string(++attempt_)); }
  void UseVault(uint64_t ram_every_steps, uint64_t every_steps = 0) {
    std::ofstream(folder_.File("job.json"))
        << fmt::format(R"({{"checkpoint":{{"every_steps":{},"ram_every_steps":{},"keep":0}}}})",
                       every_steps, ram_every_steps);
    environment_.Set("MUSTER_JOB_FILE", folder_.File("job.json"));
    environment_.Set("MUSTER_VAULT", vault_.path());
    environment_.Set("MUSTER_VAULT_BYTES", std::to_string(1 << 28));
  }

  static std::string Failed(const char* what, muster_checkpoint* c) {
    return fmt::format("{}: {}", what, muster_checkpoint_error(c));
  }
  static void Fill(Program& program, int rank, uint64_t step) {
    for (ProgramPart& part : program.layout[static_cast<size_t>(rank)]) {
      FillPart(program.arrays[part.array], step, &part);
    }
  }
  // Loads, and proves what came; then goes on to `last`, and finishes if told.
  static std::string Go(Program& program, muster_checkpoint* c, int rank, uint64_t from,
                        uint64_t last, bool finish) {
    uint64_t step = 99;
    const char* state = nullptr;
    if (muster_checkpoint_load(c, &step, &state) != 0) return Failed("load", c);
    if (step != from) return fmt::format("loaded step {}, wanted {}", step, from);
    const std::string wanted = from == 0 ? "{}" : fmt::format(R"({{"after":{}}})", from);
    if (wanted != state) return fmt::format("state {}, wanted {}", state, wanted);
    for (const ProgramPart& part : program.layout[static_cast<size_t>(rank)]) {
      const std::string wrong = WrongIn(program.arrays[part.array], from, part);
      if (!wrong.empty()) return wrong;
    }
    while (step < last) {
      if (muster_checkpoint_wait(c) != 0) return Failed("wait", c);
      Fill(program, rank, ++step);
      const std::string text = fmt::format(R"({{"after":{}}})", step);
      if (muster_checkpoint_step(c, step, text.c_str()) != 0) return Failed("step", c);
    }
    if (finish && muster_checkpoint_finish(c) != 0) return Failed("finish", c);
    return "";
  }

  // Collective over the group.
  static bool AllSealed(const std::string& vault, uint64_t step,
                        trainer::collective::Collective& group) {
    char mine = 0;
    for (const char letter : checkpoint::kSlotLetters) {
      const auto file = checkpoint::SlotFile::Open(
          vault + "/" + checkpoint::SlotFileName(static_cast<uint32_t>(group.rank()), letter));
      if (!file.ok()) continue;
      const bool sealed = file->slot().state() == checkpoint::SlotState::kSealed;
      if (sealed && file->slot().step() >= step) mine = 1;
    }
    const auto all = group.AllGatherBytes(std::as_bytes(std::span(&mine, 1)));
    if (!all.ok()) return true;
    return std::all_of(all->begin(), all->end(), [](const std::vector<std::byte>& one) {
      return one.front() == std::byte{1};
    });
  }

  TempFolder folder_;
  TempFolder vault_{"/dev/shm"};
  ProgramEnvironment environment_;
  int attempt_ = 0;
};

TEST_F(ProgramTest, WhatAnyNumberOfRanksSavedAnyOtherLoadsBitForBit) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    environment_.Set("MUSTER_CHECKPOINTS", folder_.File(fmt::format("ck{}", seed)));
    const std::vector<ProgramArray> arrays = RandomArrays(seed);
    uint64_t step = 0;
    for (int run = 0; run < 3; ++run) {
      const int ranks = static_cast<int>(1 + random() % 5);
      Program program{arrays, RandomLayout(arrays, ranks, random())};
      const uint64_t last = step + 1 + random() % 3;
      EXPECT_EQ(RunProgram(program,
                           [&](muster_checkpoint* c, ThreadGroup& end) {
                             return Go(program, c, end.group->rank(), step, last, true);
                           }),
                "")
          << "seed " << seed << " run " << run << " on " << ranks << " ranks";
      step = last;
    }
  }
}

// The slots are left as by ranks that were killed: nothing is finished.
TEST_F(ProgramTest, MemoryHoldsTheNewestStepForAnyOtherLayout) {
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    std::mt19937_64 random(seed);
    const std::string uid = fmt::format("job{}", seed);
    environment_.Set("MUSTER_JOB_UID", uid);
    environment_.Set("MUSTER_CHECKPOINTS", folder_.File(uid));
    UseVault(/*ram_every_steps=*/1);
    environment_.Set("MUSTER_VAULT", vault_.File(uid));
    std::filesystem::create_directory(vault_.File(uid));
    environment_.Set("MUSTER_RESUME_FILE", folder_.File("resume.json"));
    std::ofstream(folder_.File("resume.json")) << "[]";
    const std::vector<ProgramArray> arrays = RandomArrays(seed);
    uint64_t step = 0;    // the last one made
    uint64_t sealed = 0;  // all ranks have it or a later one
    for (int run = 0; run < 3; ++run) {
      NextAttempt();
      const int ranks = static_cast<int>(1 + random() % 4);
      Program program{arrays, RandomLayout(arrays, ranks, random())};
      std::vector<uint64_t> began(static_cast<size_t>(ranks));
      std::vector<uint64_t> ended(static_cast<size_t>(ranks));
      const std::string wrong = RunProgram(program, [&](muster_checkpoint* c, ThreadGroup& end) {
        const auto rank = end.group->rank();
        uint64_t at = 0;
        if (muster_checkpoint_load(c, &at, nullptr) != 0) return Failed("load", c);
        began[static_cast<size_t>(rank)] = at;
        if (at < sealed || at > step) {
          return fmt::format("loaded step {}, every rank had {} to {}", at, sealed, step);
        }
        for (const ProgramPart& part : program.layout[static_cast<size_t>(rank)]) {
          std::string bad = WrongIn(program.arrays[part.array], at, part);
          if (!bad.empty()) return bad;
        }
        // Until every rank has sealed a few steps: room for slots is made meanwhile.
        for (const uint64_t enough = at + 5; !AllSealed(vault_.File(uid), enough, *end.group);) {
          muster_checkpoint_wait(c);
          Fill(program, rank, ++at);
          if (muster_checkpoint_step(c, at, nullptr) != 0) return Failed("step", c);
        }
        ended[static_cast<size_t>(rank)] = at;
        return std::string();
      });
      EXPECT_EQ(wrong, "") << "seed " << seed << " run " << run << " on " << ranks << " ranks";
      for (const uint64_t at : began) EXPECT_EQ(at, began.front()) << "seed " << seed;
      sealed = began.front() + 5;
      step = ended.front();
    }
    EXPECT_FALSE(std::filesystem::exists(folder_.File(uid))) << "nothing was due on storage";
  }
}

TEST_F(ProgramTest, SavesAtItsStepsAndStepsOverADamagedOne) {
  UseVault(0, /*every_steps=*/3);
  environment_.Set("MUSTER_VAULT", "");
  Program program{RandomArrays(5), {}};
  program.layout = RandomLayout(program.arrays, 3, 5);
  const auto go = [&](uint64_t from, uint64_t last) {
    return RunProgram(program, [&](muster_checkpoint* c, ThreadGroup& end) {
      return Go(program, c, end.group->rank(), from, last, true);
    });
  };
  EXPECT_EQ(go(0, 10), "");
  const auto entries = checkpoint::ListCheckpoints(Root());
  ASSERT_TRUE(entries.ok());
  std::vector<uint64_t> steps;
  for (const auto& entry : *entries) {
    if (entry.state == checkpoint::CheckpointState::kCommitted) steps.push_back(entry.id.step);
  }
  ASSERT_GE(steps.size(), 2u);
  EXPECT_EQ(steps[0], 10u);
  EXPECT_EQ(steps[1], 9u);
  // A byte of the newest.
  const std::string shard = entries->front().path + "/data/w00000.safetensors";
  std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  const auto size = std::filesystem::file_size(shard);
  ASSERT_GT(size, 0u);
  file.put('\x7f');
  file.close();
  EXPECT_EQ(go(9, 11), "");
}

TEST_F(ProgramTest, WithoutCheckpointsTheSameCallsDoNothing) {
  environment_.Set("MUSTER_CHECKPOINTS", "");
  Program program{RandomArrays(3), {}};
  program.layout = RandomLayout(program.arrays, 2, 3);
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(RunProgram(program,
                         [&](muster_checkpoint* c, ThreadGroup& end) {
                           return Go(program, c, end.group->rank(), 0, 5, true);
                         }),
              "");
  }
  EXPECT_FALSE(std::filesystem::exists(Root()));
}

TEST_F(ProgramTest, AnswersMistakesInWords) {
  Program program{{{"w", MUSTER_DTYPE_F64, {4}}}, {}};
  program.layout = RandomLayout(program.arrays, 1, 1);
  const std::string wrong = RunProgram(program, [&](muster_checkpoint* c, ThreadGroup&) {
    const auto expect = [&](int code, int wanted, const char* words) {
      EXPECT_EQ(code, wanted) << words;
      EXPECT_THAT(muster_checkpoint_error(c), HasSubstr(words));
    };
    expect(muster_checkpoint_step(c, 1, nullptr), -EPERM, "load comes first");
    expect(muster_checkpoint_finish(c), -EPERM, "load comes first");
    const uint64_t shape[] = {4};
    double data[4] = {};
    muster_checkpoint_region region = {};
    region.name = "w";
    region.dtype = MUSTER_DTYPE_F64;
    region.axes = 1;
    region.shape = shape;
    region.data = data;
    expect(muster_checkpoint_add(c, &region), -EINVAL, "added twice");
    region.name = "bad name";
    expect(muster_checkpoint_add(c, &region), -EINVAL, "tensor name");
    region.name = nullptr;
    expect(muster_checkpoint_add(c, &region), -EINVAL, "give a name");
    region.name = "v";
    region.data = nullptr;
    expect(muster_checkpoint_add(c, &region), -EINVAL, "no memory given");
    region.data = data;
    region.dtype = static_cast<muster_dtype>(0);
    expect(muster_checkpoint_add(c, &region), -EINVAL, "dtype 0");
    region.dtype = MUSTER_DTYPE_F64;
    region.axes = 9;
    expect(muster_checkpoint_add(c, &region), -EINVAL, "at most 8 axes");

    uint64_t step = 0;
    EXPECT_EQ(muster_checkpoint_load(c, &step, nullptr), 0);
    expect(muster_checkpoint_load(c, &step, nullptr), -EPERM, "was done before");
    region.axes = 1;
    expect(muster_checkpoint_add(c, &region), -EPERM, "added after load");
    EXPECT_EQ(muster_checkpoint_step(c, 5, "{\"a\": 1}"), 0);
    expect(muster_checkpoint_step(c, 5, nullptr), -EINVAL, "steps go up");
    expect(muster_checkpoint_step(c, 6, "[1]"), -EINVAL, "not a JSON object");
    expect(muster_checkpoint_step(c, 6, "{"), -EINVAL, "not a JSON object");
    const std::string large = "{\"a\":\"" + std::string(40'000, 'x') + "\"}";
    expect(muster_checkpoint_step(c, 6, large.c_str()), -EINVAL, "at most 32768");
    return std::string();
  });
  EXPECT_EQ(wrong, "");
}

TEST_F(ProgramTest, RanksThatDisagreeAreToldSo) {
  Program program{RandomArrays(3), {}};
  program.layout = RandomLayout(program.arrays, 3, 3);
  const auto words = [&](const std::function<std::pair<uint64_t, const char*>(int)>& of) {
    return RunProgram(program, [&](muster_checkpoint* c, ThreadGroup& end) -> std::string {
      uint64_t step = 0;
      if (muster_checkpoint_load(c, &step, nullptr) != 0) return Failed("load", c);
      const int rank = end.group->rank();
      const auto [number, state] = of(rank);
      const int code = muster_checkpoint_step(c, number, state);
      EXPECT_EQ(code, -EINVAL) << rank;
      return code == 0 ? "no error" : muster_checkpoint_error(c);
    });
  };
  EXPECT_THAT(words([](int rank) { return std::pair(rank == 2 ? 2ull : 1ull, "{}"); }),
              HasSubstr("rank 0 is at step 1, rank 2 at step 2"));
  EXPECT_THAT(words([](int rank) { return std::pair(1ull, rank == 1 ? "{\"a\":1}" : "{}"); }),
              HasSubstr("the state text of rank 1 is not that of rank 0"));
}

TEST_F(ProgramTest, AnArrayOfAnotherShapeIsRefusedAndABrokenGroupIsAnError) {
  Program program{{{"w", MUSTER_DTYPE_F64, {4}}}, {}};
  program.layout = RandomLayout(program.arrays, 2, 1);
  const auto load = [&](muster_checkpoint* c, ThreadGroup& end) {
    return Go(program, c, end.group->rank(), 0, 2, true);
  };
  EXPECT_EQ(RunProgram(program, load), "");
  program.arrays[0].shape = {5};
  program.layout = RandomLayout(program.arrays, 2, 1);
  EXPECT_THAT(RunProgram(program,
                         [&](muster_checkpoint* c, ThreadGroup&) -> std::string {
                           uint64_t step = 0;
                           return muster_checkpoint_load(c, &step, nullptr) == 0
                                      ? ""
                                      : muster_checkpoint_error(c);
                         }),
              HasSubstr("[5]"));
  OnThreads(2, [](ThreadGroup& end) {
    end.fail_after = 1;
    const muster_checkpoint_group given = end.Given();
    muster_checkpoint* c = nullptr;
    EXPECT_EQ(muster_checkpoint_open(&c, nullptr, &given), -EIO);
    EXPECT_EQ(c, nullptr);
    EXPECT_THAT(muster_checkpoint_error(nullptr), StartsWith("the program's all_"));
  });
}

}  // namespace
}  // namespace muster::rank
