// A worker core with short words for what is told to it, and its actions as text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "worker/core/worker_core.h"

namespace muster::worker::core {

inline AttemptKey Key(uint64_t job, uint64_t attempt) {
  return {JobId(job), AttemptNumber(attempt)};
}

// One line per action, as a person would say it; notes are left out.
std::vector<std::string> Text(const Actions& actions);

class CoreTest : public ::testing::Test {
 protected:
  CoreTest() : core_(Identity("c1")) {}

  static v1::WorkerHello Identity(const std::string& cluster_id);
  std::vector<std::string> Feed(Input input);
  std::vector<std::string> Advance(int64_t ms);
  std::vector<std::string> Connect(uint64_t epoch = 1);
  std::vector<std::string> Start(uint64_t job, uint64_t attempt,
                                 std::vector<std::string> nodes = {"n1"});
  std::vector<std::string> Stop(uint64_t job, uint64_t attempt, uint32_t grace_ms = 0);
  std::vector<std::string> Release(uint64_t job, uint64_t attempt);
  std::vector<std::string> ShimReports(uint64_t job, uint64_t attempt, bool stopped,
                                       v1::RankState state, uint64_t step = 0);
  // Started, shim connected, its one rank runs.
  void Run(uint64_t job, uint64_t attempt);

  v1::CoordinatorMessage Order() const;

  WorkerCore core_;
  uint64_t epoch_ = 1;
  int64_t now_ms_ = 1000;
  Actions last_;
};

}  // namespace muster::worker::core
