// Merges the logs of many ranks: a line that several ranks say is printed once, with who said it.
//
// The order of each rank's own lines is kept. Lines of different ranks are matched while they wait;
// Take() lets those go that have waited long enough, or that everybody has said.
//
// Time: passed in; nothing here reads a clock. Threads: none.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace muster::cli {

class LogFold {
 public:
  LogFold(size_t rank_count, absl::Duration wait) : rank_count_(rank_count), wait_(wait) {}

  // Bytes of one rank's log as they come; lines may be cut anywhere.
  void Add(uint32_t rank, const std::string& bytes, absl::Time now);

  // The rank's log has ended: its last line needs no newline.
  void End(uint32_t rank, absl::Time now);

  // "[0-3] line" for what may be printed now, in order. `all` lets everything go.
  std::vector<std::string> Take(absl::Time now, bool all);

 private:
  struct Line {
    std::string text;
    std::vector<uint64_t> ranks;
    absl::Time since;
    uint64_t number = 0;  // position in the merged log
  };
  void AddLine(uint32_t rank, std::string text, absl::Time now);

  const size_t rank_count_;
  const absl::Duration wait_;
  std::deque<Line> waiting_;
  uint64_t next_number_ = 0;
  std::map<uint32_t, std::string> unfinished_;  // a line without its end
  std::map<uint32_t, uint64_t> next_of_rank_;   // first position this rank may still join
};

}  // namespace muster::cli
