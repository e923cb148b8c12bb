// A machine that dies at every call of a save, of a commit, of a prune: the newest valid checkpoint
// loads, and nothing partial is ever taken.
#include <gtest/gtest.h>

#include "checkpoint/resume.h"
#include "tests/unit/checkpoint/crash_files.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

constexpr CrashFiles::Survives kAll[] = {CrashFiles::Survives::kDurableOnly,
                                         CrashFiles::Survives::kEverything,
                                         CrashFiles::Survives::kSome};

TEST(Crash, AtEveryCallOfASaveTheOlderOrTheNewCheckpointIsWhole) {
  std::mt19937_64 random(3);
  const Model old_model = RandomModel(random, 6), new_model = RandomModel(random, 6);
  int lives = 0, found_old = 0, found_new = 0;
  for (CrashFiles::Survives survives : kAll) {
    for (int call = 0;; ++call) {
      CrashFiles files;
      std::mt19937_64 cuts(4);
      ASSERT_TRUE(Save("/r/job", {10, 1}, old_model, cuts, 2, files).ok());
      const int before = files.calls();
      files.CrashAt(before + call);
      const absl::StatusOr<std::string> saved = Save("/r/job", {20, 1}, new_model, cuts, 2, files);
      const bool crashed = files.crashed();
      ASSERT_TRUE(crashed || saved.ok()) << saved.status();
      files.Restart(survives, static_cast<uint64_t>(call));
      ++lives;
      const absl::StatusOr<ResumeChoice> choice = ChooseNewest("/r/job", files);
      ASSERT_TRUE(choice.ok()) << "call " << call << ": " << choice.status();
      ASSERT_TRUE(choice->point.has_value()) << "call " << call;
      const bool is_new = choice->point->manifest.step == 20;
      (is_new ? found_new : found_old)++;
      if (!crashed) {
        EXPECT_TRUE(is_new);
      }
      // A save that was reported done is there.
      if (saved.ok()) {
        EXPECT_TRUE(is_new) << "call " << call;
      }
      const auto same =
          LoadsBack(choice->point->folder, is_new ? new_model : old_model, cuts, files);
      ASSERT_TRUE(same.ok()) << same.status();
      EXPECT_TRUE(*same);
      // The next attempt saves the same step in its own folder.
      ASSERT_TRUE(Save("/r/job", {20, 2}, new_model, cuts, 3, files).ok());
      EXPECT_EQ(ChooseNewest("/r/job", files)->point->manifest.attempt, 2u);
      if (!crashed) break;
    }
  }
  EXPECT_GT(found_old, 20);
  EXPECT_GT(found_new, 2);
  std::printf("  %d lives, %d resumed from the old, %d from the new\n", lives, found_old,
              found_new);
}

TEST(Crash, AtEveryCallOfAPruneTheKeptOnesStayWhole) {
  std::mt19937_64 random(5);
  const Model model = RandomModel(random, 4);
  int lives = 0;
  for (CrashFiles::Survives survives : kAll) {
    for (int call = 0;; ++call) {
      CrashFiles files;
      for (uint64_t step = 1; step <= 4; ++step) {
        ASSERT_TRUE(Save("/r/job", {step, 1}, model, random, 2, files).ok());
      }
      ASSERT_TRUE(PrepareCheckpointFolder("/r/job", {5, 0}, files).ok());
      files.CrashAt(files.calls() + call);
      const PruneOptions options{.keep = 2, .pinned = {}, .current_attempt = 1};
      const absl::StatusOr<PruneReport> report = Prune("/r/job", options, files);
      const bool crashed = files.crashed();
      ASSERT_TRUE(crashed || report.ok()) << report.status();
      files.Restart(survives, static_cast<uint64_t>(call));
      ++lives;
      for (uint64_t step : {3, 4}) {
        const std::string folder = "/r/job/" + CheckpointFolder({step, 1});
        const VerifyReport whole = Verify(folder, nullptr, VerifyDepth::kEverything, files);
        EXPECT_TRUE(whole.ok()) << "call " << call << ": " << VerifyStatus(folder, whole);
      }
      // Whatever else is committed is whole too, or cannot be told from rubbish.
      ASSERT_TRUE(Prune("/r/job", options, files).ok());
      const auto left = ListCheckpoints("/r/job", files);
      ASSERT_TRUE(left.ok());
      EXPECT_EQ(left->size(), 2u);
      for (const std::string& name : files.Names()) {
        EXPECT_EQ(name.find(".trash-"), std::string::npos) << name;
      }
      if (!crashed) break;
    }
  }
  std::printf("  %d lives\n", lives);
}

TEST(Crash, AFailureAtEveryCallIsReportedAndLeavesNoTemporaryFile) {
  std::mt19937_64 random(6);
  const Model model = RandomModel(random, 4);
  int reported = 0;
  for (int call = 0;; ++call) {
    CrashFiles files;
    std::mt19937_64 cuts(7);
    ASSERT_TRUE(MakeFolders(files, "/r").ok());
    files.FailAt(files.calls() + call, ErrnoError(ENOSPC, "x"));
    const int last = files.calls() + call;
    const absl::StatusOr<std::string> saved = Save("/r/job", {20, 1}, model, cuts, 2, files);
    if (files.calls() <= last) break;  // the call was never made
    if (saved.ok()) continue;          // clearing a temporary name away failed: no harm
    ++reported;
    EXPECT_EQ(saved.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_NE(std::string(saved.status().message()).find("No space left"), std::string::npos);
    for (const std::string& name : files.Names()) {
      EXPECT_EQ(name.find(".tmp-"), std::string::npos) << "call " << call << ": " << name;
    }
    // The save again works; or it was committed already and is left as it is.
    const absl::Status again = Save("/r/job", {20, 1}, model, cuts, 2, files).status();
    ASSERT_TRUE(again.ok() || absl::IsAlreadyExists(again)) << "call " << call << ": " << again;
    const VerifyReport whole =
        Verify("/r/job/" + CheckpointFolder({20, 1}), nullptr, VerifyDepth::kEverything, files);
    EXPECT_TRUE(whole.ok()) << "call " << call;
  }
  EXPECT_GT(reported, 15);
}

TEST(Crash, DiskFullSaysHowMuchIsNeededAndFree) {
  CrashFiles files;
  std::mt19937_64 random(8);
  const Model model = RandomModel(random, 4);
  ASSERT_TRUE(PrepareCheckpointFolder("/r/job", {20, 1}, files).ok());
  const std::string folder = "/r/job/" + CheckpointFolder({20, 1});
  const Box box = WholeTensor("w", DType::kF32, {1000});
  const Bytes bytes(4000);
  const std::vector<Slice> slices = {{box, bytes}};
  files.FailAt(files.calls() + 4, ErrnoError(ENOSPC, "x"));  // the write of the data
  const std::string full{WriteShard(folder, "w00000", slices, {}, files).status().message()};
  EXPECT_NE(full.find("8096 bytes needed, 4711 free in /r/job/step-0000000020.a1"),
            std::string::npos)
      << full;
  files.FailAt(files.calls() + 2, ErrnoError(EROFS, "x"));  // the creation
  const auto read_only = WriteShard(folder, "w00000", slices, {}, files).status();
  EXPECT_NE(std::string(read_only.message()).find("cannot be written"), std::string::npos);
  EXPECT_NE(std::string(read_only.message()).find("Read-only file system"), std::string::npos)
      << read_only;
}

}  // namespace
}  // namespace muster::checkpoint
