// What must not depend on how a job is laid out over ranks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"

namespace muster::trainer::loop {
namespace {

// The end of a fresh run.
std::map<std::string, std::vector<float>> FinalTensors(Job job) {
  const TempFolder folder;
  job.checkpoints = folder.path() + "/ck";
  const JobOutcome outcome = RunJob(job);
  EXPECT_TRUE(outcome.ok()) << outcome.Problems();
  if (!outcome.ok()) return {};
  return ReadTensors(CheckpointOf(job.checkpoints, static_cast<uint64_t>(job.steps)));
}

TEST(Layout, DataOneTwoFourEndInTheSameBitsShardedOrNot) {
  const auto alone = FinalTensors({.mesh = "data: 1"});
  ASSERT_FALSE(alone.empty());
  for (const char* mesh : {"data: 1", "data: 2", "data: 4", "data: 8"}) {
    for (bool zero : {true, false}) {
      EXPECT_EQ(FinalTensors({.mesh = mesh, .zero = zero}), alone) << mesh << " zero " << zero;
    }
  }
}

TEST(Layout, DataSizesAgreeUnderTensorParallelToo) {
  const auto one = FinalTensors({.mesh = "data: 1, tensor: 2"});
  ASSERT_FALSE(one.empty());
  EXPECT_EQ(FinalTensors({.mesh = "data: 2, tensor: 2"}), one);
  EXPECT_EQ(FinalTensors({.mesh = "tensor: 2, data: 4", .zero = false}), one);
}

TEST(Layout, RunModeRepeatsItselfAndZeroChangesNothing) {
  const Job job{.mesh = "data: 2, tensor: 2", .reproducible = "run", .micro_batch = 2};
  const auto first = FinalTensors(job);
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(FinalTensors(job), first);
  Job unsharded = job;
  unsharded.zero = false;
  EXPECT_EQ(FinalTensors(unsharded), first);
}

TEST(Layout, TensorSizesAgreeWithinRounding) {
  const auto one = FinalTensors({.mesh = "data: 1"});
  for (const char* mesh : {"tensor: 2", "tensor: 4"}) {
    const auto split = FinalTensors({.mesh = mesh});
    ASSERT_EQ(split.size(), one.size());
    for (const auto& [name, values] : one) {
      if (name.starts_with("adamw.")) continue;  // AdamW divides by them: the weights tell
      double error = 0;
      double size = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        error += std::pow(split.at(name)[i] - values[i], 2.0);
        size += std::pow(values[i], 2.0);
      }
      EXPECT_LT(std::sqrt(error), 1e-3 * std::sqrt(size)) << mesh << " " << name;
    }
  }
}

TEST(Layout, AStoppedAndResumedRunEndsInTheBitsOfAnUndisturbedOne) {
  for (const char* mesh : {"data: 1", "data: 2, tensor: 2"}) {
    const Job whole{.mesh = mesh, .reproducible = "run"};
    const auto undisturbed = FinalTensors(whole);
    const TempFolder folder;
    Job job = whole;
    job.checkpoints = folder.path() + "/ck";
    FakeLink link(FakeLink::Commits::kPermitted);
    link.stop_after_steps = 3;
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    const JobOutcome stopped = RunJob(job);
    ASSERT_TRUE(stopped.ok()) << stopped.Problems();
    EXPECT_TRUE(stopped.first()->stopped);
    EXPECT_EQ(stopped.first()->step, 3u);
    job.link = nullptr;
    const JobOutcome resumed = RunJob(job);
    ASSERT_TRUE(resumed.ok()) << resumed.Problems();
    EXPECT_EQ(resumed.first()->first_step, 3u);
    EXPECT_EQ(resumed.out[0], "resumed from step 3 (step-0000000003.a1)");
    EXPECT_EQ(ReadTensors(CheckpointOf(job.checkpoints, 6)), undisturbed) << mesh;
  }
}

TEST(Layout, AResumeInAnotherDataLayoutKeepsTheBitsToo) {
  const auto undisturbed = FinalTensors({.mesh = "data: 1"});
  const TempFolder folder;
  Job job{.mesh = "data: 4", .checkpoints = folder.path() + "/ck"};
  FakeLink link(FakeLink::Commits::kPermitted);
  link.stop_after_steps = 2;
  job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
  ASSERT_TRUE(RunJob(job).ok());
  job.link = nullptr;
  job.mesh = "data: 2";
  job.zero = false;
  const JobOutcome resumed = RunJob(job);
  ASSERT_TRUE(resumed.ok()) << resumed.Problems();
  EXPECT_EQ(ReadTensors(CheckpointOf(job.checkpoints, 6)), undisturbed);
}

// {data 1,2,4} × {tensor 1,2,4} × ZeRO on and off, each loaded by each.
TEST(Layout, EveryLayoutLoadsEveryOthersCheckpoint) {
  struct Shape {
    std::string mesh;
    bool zero;
  };
  std::vector<Shape> shapes;
  for (int data : {1, 2, 4}) {
    for (int tensor : {1, 2, 4}) {
      for (bool zero : {true, false}) {
        shapes.push_back({fmt::format("data: {}, tensor: {}", data, tensor), zero});
      }
    }
  }
  const TempFolder folder;
  const Job base{.steps = 3, .global_batch = 4, .layers = 1};
  Job reference = base;
  reference.steps = 4;
  reference.checkpoints = folder.path() + "/reference";
  const JobOutcome expected = RunJob(reference);
  ASSERT_TRUE(expected.ok()) << expected.Problems();
  const double loss = expected.first()->loss;
  std::vector<std::string> written;
  for (size_t w = 0; w < shapes.size(); ++w) {
    Job writer = base;
    writer.steps = 4;  // the schedule's end; stopped one step before
    writer.mesh = shapes[w].mesh;
    writer.zero = shapes[w].zero;
    writer.checkpoints = folder.path() + fmt::format("/w{}", w);
    FakeLink link(FakeLink::Commits::kPermitted);
    link.stop_after_steps = 3;
    writer.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    const JobOutcome outcome = RunJob(writer);
    ASSERT_TRUE(outcome.ok()) << shapes[w].mesh << ": " << outcome.Problems();
    written.push_back(CheckpointOf(writer.checkpoints, 3));
  }
  for (size_t w = 0; w < shapes.size(); ++w) {
    for (size_t r = 0; r < shapes.size(); ++r) {
      Job reader = base;
      reader.steps = 4;
      reader.mesh = shapes[r].mesh;
      reader.zero = shapes[r].zero;
      reader.init_from = written[w];
      reader.checkpoints = folder.path() + fmt::format("/r{}-{}", w, r);
      const JobOutcome outcome = RunJob(reader);
      const std::string pair = shapes[w].mesh + " → " + shapes[r].mesh;
      ASSERT_TRUE(outcome.ok()) << pair << ": " << outcome.Problems();
      EXPECT_EQ(outcome.first()->first_step, 3u) << pair;
      EXPECT_NEAR(outcome.first()->loss, loss, 1e-4 * loss) << pair;
    }
  }
}

}  // namespace
}  // namespace muster::trainer::loop
