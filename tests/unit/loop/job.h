// A tiny job on real threads: text, dataset, config, ranks and what they said.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/file_system.h"
#include "tests/support/temp_folder.h"
#include "trainer/loop/rank_link.h"
#include "trainer/loop/training.h"

namespace muster::trainer::loop {

// A prepared dataset (byte tokenizer), made once per test program and text number.
const std::string& TestData(int text = 0);

struct Job {
  std::string mesh = "data: 1";
  std::string data = TestData();
  bool zero = true;
  std::string reproducible = "layout";
  int steps = 6;
  int save_every = 0;
  std::string save_every_text = {};  // a duration; default: not because of time
  std::function<std::function<double()>(int rank)> seconds = {};  // default: the real clock
  int keep = 0;
  int keep_every = 0;
  int keep_best = 0;
  int ram_every = 0;
  int compare_every = 0;
  std::function<rank::VaultOptions(int rank)> vault = {};  // default: none
  int global_batch = 8;
  int micro_batch = 1;
  int layers = 2;
  std::string init_from = {};
  std::string checkpoints = {};
  std::optional<uint64_t> attempt = {};
  std::optional<std::vector<checkpoint::Permitted>> permitted = {};
  std::optional<FailInjection> fail = {};
  double final_save_seconds = 0;
  double save_patience_seconds = 60;
  std::function<checkpoint::FileSystem*(int rank)> files = {};  // default: the real one
  std::function<RankLink*(int rank)> link = {};                 // default: none
};

std::string JobDocument(const Job& job);

struct JobOutcome {
  std::vector<absl::StatusOr<TrainingResult>> ranks;
  std::vector<std::string> out;       // lines of rank 0
  std::vector<std::string> problems;  // of all ranks

  const absl::StatusOr<TrainingResult>& first() const { return ranks[0]; }
  bool ok() const;
  std::string Problems() const;
};

// Runs all ranks as threads, each with its own end of an in-process world.
JobOutcome RunJob(const Job& job);

// Every tensor of a checkpoint, whole.
std::map<std::string, std::vector<float>> ReadTensors(const std::string& folder);

// The folder of the job's checkpoint of that step (any attempt).
std::string CheckpointOf(const std::string& checkpoints, uint64_t step);

// Changes one byte in the middle of the first shard.
void FlipByte(const std::string& checkpoint);

}  // namespace muster::trainer::loop
