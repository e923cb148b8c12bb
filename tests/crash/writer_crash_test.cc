// A real writer process, killed at every call it makes below its folder: before it, after it, and
// in the middle of each write. Then another process finds the newest valid checkpoint, takes
// nothing partial, goes on, and leaves no rubbish.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "tests/crash/doomed_process.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/crash_history.h"

namespace muster::checkpoint {
namespace {

namespace fs = std::filesystem;

struct Life {
  std::string attempt, keep, writers;
  std::vector<std::string> steps;
};

struct Workload {
  const char* name;
  std::vector<Life> before;  // lives that were killed by a call themselves, the n-th from their end
  Life life;
};

// In memory where there is such a folder: a killed process loses nothing the kernel has.
std::string Scratch() {
  return fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
}

class WriterCrash : public testing::TestWithParam<Workload> {
 protected:
  WriterCrash() : folder_(Scratch() + fmt::format("/muster-test-crash-{}", getpid())) {
    fs::create_directories(folder_);
    page_ = std::make_unique<MappedCrashPage>(folder_ + "/page");
  }
  ~WriterCrash() override { fs::remove_all(folder_); }

  std::string root() const { return folder_ + "/watched/ck/job"; }

  // Runs a life to its end or its death; adds what it said to `history`. True when it was killed.
  bool Run(const Life& life, uint64_t at, CrashWhen when, History& history) {
    page_->KillAt(at, when);
    std::vector<std::string> command = {std::getenv("MUSTER_CRASH_WRITER"), root(), life.attempt,
                                        life.keep, life.writers};
    command.insert(command.end(), life.steps.begin(), life.steps.end());
    DoomedProcess process(command, folder_ + "/watched", *page_);
    history.keep = static_cast<uint32_t>(std::stoul(life.keep));
    for (const std::string& line : process.Lines()) {
      const CheckpointId id{std::stoull(line.substr(line.find(' '))), std::stoull(life.attempt)};
      (line.starts_with("permitted") ? history.permitted : history.acknowledged).push_back(id);
    }
    return process.WasKilled();
  }

  const std::string folder_;
  std::unique_ptr<MappedCrashPage> page_;
};

TEST_P(WriterCrash, AtEveryCall) {
  const Workload& workload = GetParam();
  const auto started = std::chrono::steady_clock::now();
  size_t points = 0;
  for (const CrashWhen when : {CRASH_BEFORE, CRASH_AFTER, CRASH_HALF}) {
    for (uint64_t call = 0;; ++call) {
      fs::remove_all(folder_ + "/watched");
      fs::create_directories(folder_ + "/watched");
      History history;
      for (size_t i = 0; i < workload.before.size(); ++i) {
        // Deaths spread over the whole of the earlier lives.
        ASSERT_TRUE(Run(workload.before[i], 5 + (call * 7) % 40, CRASH_AFTER, history));
      }
      const bool killed = Run(workload.life, call, when, history);
      for (const std::string& fault : FaultsAfterCrash(PosixFiles(), history, root())) {
        ADD_FAILURE() << workload.name << ", call " << call << ", when " << when << ": " << fault;
      }
      ++points;
      if (!killed || HasFailure()) break;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  std::printf("  %s: %zu points in %.1f s\n", workload.name, points, took.count());
  EXPECT_GT(points, 100u);
}

INSTANTIATE_TEST_SUITE_P(
    Workloads, WriterCrash,
    testing::Values(Workload{"first_save", {}, {"1", "3", "2", {"10"}}},
                    Workload{"saves_that_prune", {}, {"1", "1", "1", {"10", "20", "30"}}},
                    Workload{"after_earlier_deaths",
                             {{"1", "2", "2", {"10", "20"}}, {"2", "2", "1", {"30", "40"}}},
                             {"3", "2", "2", {"50"}}}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace muster::checkpoint
