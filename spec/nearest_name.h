// "did you mean": the known name closest to a mistyped one.
#pragma once

#include <string>
#include <vector>

namespace muster::spec {

// Fewest single-letter edits (insert, delete, replace, swap of neighbours); ties go to the first
// listed. Empty when none is close: more than a third of the letters, at least 2, would change.
std::string NearestName(const std::string& name, const std::vector<std::string>& known);

}  // namespace muster::spec
