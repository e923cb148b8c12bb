// What simulated ranks do, and what goes wrong when: a small text file, a rule a line, # comments.
//
//   step 0.5s                                  one optimizer step of every job (default 1s)
//   save every 100 steps                       rank 0 asks to commit (default never)
//   steps 1000                                 jobs without a number of steps end after so many
//   at 10s kill-rank job=1 rank=3              once; times count from the start of the program
//   at 10s hang-rank job=1 rank=3              its step count stands still
//   every 30s fail 1% of workers silently      they say nothing more; their connections stay
//   at 20s fail 3 workers disconnecting        the stream closes; back at once, ranks run on
//   at 20s fail 3 workers crashing             ranks are gone; back with a new life
//   at 5s slow 2% of workers by 300ms          everything they send leaves so much later
//
// Which workers is drawn from those still well, by the seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::fleet {

struct Rule {
  enum class What { kKillRank, kHangRank, kSilent, kDisconnect, kCrash, kSlow };
  What what = What::kKillRank;
  int64_t at_ms = 0;
  int64_t every_ms = 0;  // 0 = once
  uint64_t job = 0;
  uint32_t rank = 0;
  double count = 0;  // workers; a share of them when `percent`
  bool percent = false;
  int64_t by_ms = 0;
};

struct Script {
  int64_t step_ms = 1000;
  uint64_t save_steps = 0;  // 0 = never
  uint64_t steps = 0;       // 0 = no end
  std::vector<Rule> rules;
};

// kInvalidArgument names the line and what it should have been.
absl::StatusOr<Script> ParseScript(const std::string& text);

// A rule without its time, "fail 1% of workers silently": at_ms is 0.
// kInvalidArgument says what it should have been.
absl::StatusOr<Rule> ParseRule(const std::string& line);

}  // namespace muster::fleet
