#include "coordinator/scheduler/natural_order.h"

namespace muster::coordinator::scheduler {
namespace {

size_t DigitsAt(const std::string& name) {
  size_t at = name.size();
  while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9') --at;
  return at;
}

}  // namespace

bool NaturalLess(const std::string& a, const std::string& b) {
  const int prefix = a.compare(0, DigitsAt(a), b, 0, DigitsAt(b));
  if (prefix != 0) return prefix < 0;
  if (a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

}  // namespace muster::coordinator::scheduler
