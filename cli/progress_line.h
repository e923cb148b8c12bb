// The one line that moves: how far, how fast, how long still.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job.pb.h"

namespace muster::cli {

// "step 40/200  loss 2.3134  5.2k tokens/s  eta 1m 04s".
std::string ProgressText(const v1::Progress& progress);

// "950", "5.2k", "1.3M".
std::string CountText(double value);

// "[=====     ]  50 %  1.0 MiB of 2.0 MiB".
std::string BarText(uint64_t done, uint64_t total);

// Redraws one line in place on a terminal; prints nothing where there is none.
// Threads: one. The destructor ends the line.
class LiveLine {
 public:
  explicit LiveLine(FILE* file);
  ~LiveLine();
  void Show(const std::string& text);
  void Clear();  // so that another line can be printed
  bool live() const { return live_; }

 private:
  FILE* const file_;
  const bool live_;
  bool shown_ = false;
};

}  // namespace muster::cli
