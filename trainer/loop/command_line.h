// The command line of muster-train.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trainer/loop/sampling.h"

namespace muster::trainer::loop {

struct RunFlags {
  std::string config;
  std::string resume;       // "" = not given: take what is in the checkpoint folder
  std::string checkpoints;  // "" = <checkpoint.path>/<name>
  std::optional<uint64_t> attempt;
};

struct SampleFlags {
  std::string checkpoint;
  std::string data;
  SamplingOptions sampling;
};

struct EvalFlags {
  std::string checkpoint;
  std::string data;
  uint64_t samples = 64;
  int batch = 4;
};

struct LogitsFlags {
  std::string checkpoint;
  std::string data;
  std::vector<std::string> prompts;
};

enum class Verb { kRun, kSample, kEval, kLogits, kExit };

struct CommandLine {
  Verb verb = Verb::kExit;
  int exit_code = 0;    // for kExit: after --help 0, after a mistake 2
  std::string message;  // for kExit: what to print
  RunFlags run;
  SampleFlags sample;
  EvalFlags eval;
  LogitsFlags logits;
};

CommandLine ParseCommandLine(int argc, const char* const* argv);

}  // namespace muster::trainer::loop
