// Short forms for sets of numbers and names, as people write them: "0-3,7", "n[1-4,9]".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// {0,1,2,3,7} → "0-3,7". Sorts; duplicates count once; empty → "".
std::string FormatRanges(std::vector<uint64_t> numbers);

// {"n1","n2","n3","gpu7"} → "gpu7,n[1-3]". Sorts; numbers with leading zeros keep their width.
std::string FormatHostlist(std::vector<std::string> names);

// The names of "gpu7,n[01-03,9]", in the order written: gpu7, n01, n02, n03, n9. Any number of
// brackets in a name.
// Errors: kInvalidArgument, also for more than 100,000 names.
absl::StatusOr<std::vector<std::string>> ParseHostlist(const std::string& text);

// The name after this one in a row: "n9" → "n10", "n09" → "n10". Empty when it ends in no number
// (or in one of more than 18 digits).
std::string NextName(const std::string& name);

}  // namespace muster
