// What people are told about saves that do not reach storage: the first failure, not every one, and
// when a save came through again. Each failure stays a line of the rank's output besides.
//
// A save that is late is trouble too: beyond ten seconds, and beyond three times what any took
// before.
//
// Threads: the rank's one; on rank 0.
#pragma once

#include <cstdint>
#include <string>

#include "rank/checkpoint/console.h"
#include "rank/checkpoint/save_link.h"

namespace muster::rank {

class StorageHealth {
 public:
  static constexpr double kLateSeconds = 10;
  static constexpr double kLateTimes = 3;

  // link may be null; both outlive it.
  StorageHealth(std::string root, SaveLink* link, const Console& console)
      : root_(std::move(root)), link_(link), console_(console) {}

  // `line` is the whole sentence: what failed, and what happens next.
  void Failed(uint64_t step, const std::string& line);
  // The oldest save that is not through, and since when.
  void OnItsWay(uint64_t step, double seconds);
  void Committed(uint64_t step, double seconds);

 private:
  void Tell(uint64_t step, const std::string& text);

  const std::string root_;
  SaveLink* const link_;
  const Console& console_;
  bool in_trouble_ = false;
  double longest_seconds_ = 0;  // of the saves that came through in good times
};

}  // namespace muster::rank
