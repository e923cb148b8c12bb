// Where a rank's lines for people go. Progress comes from rank 0 alone.
#pragma once

#include <functional>
#include <string>

namespace muster::rank {

struct Console {
  std::function<void(const std::string&)> out;      // progress
  std::function<void(const std::string&)> problem;  // what went wrong and what happens next
};

}  // namespace muster::rank
