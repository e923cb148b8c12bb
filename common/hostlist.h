// Short forms for sets of numbers and names, as people write them: "0-3,7", "n[1-4,9]".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster {

// {0,1,2,3,7} → "0-3,7". Sorts; duplicates count once; empty → "".
std::string FormatRanges(std::vector<uint64_t> numbers);

// {"n1","n2","n3","gpu7"} → "gpu7,n[1-3]". Sorts; numbers with leading zeros keep their width.
std::string FormatHostlist(std::vector<std::string> names);

}  // namespace muster
