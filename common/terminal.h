// What programs show on a terminal: sizes for people, safe text, a bar, and the one line that
// moves.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace muster {

// "1.5 GiB", "12.0 KiB", "17 B".
std::string BytesText(uint64_t bytes);

// Text with control characters replaced by '?'.
std::string Printable(const std::string& text);

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

}  // namespace muster
