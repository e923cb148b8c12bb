// Names in the order people count: "n2" before "n10".
#pragma once

#include <string>

namespace muster::coordinator::scheduler {

// By what stands before the digits at the end, then by these as a number. A total order.
bool NaturalLess(const std::string& a, const std::string& b);

}  // namespace muster::coordinator::scheduler
