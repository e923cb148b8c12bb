#include "common/hostlist.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace muster {
namespace {

std::string JoinRanges(const std::vector<uint64_t>& sorted, size_t width) {
  std::string out;
  for (size_t i = 0; i < sorted.size();) {
    size_t j = i;
    while (j + 1 < sorted.size() && sorted[j + 1] == sorted[j] + 1) ++j;
    if (!out.empty()) out += ',';
    out += fmt::format("{:0{}}", sorted[i], width);
    if (j > i) out += fmt::format("-{:0{}}", sorted[j], width);
    i = j + 1;
  }
  return out;
}

void SortUnique(std::vector<uint64_t>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

}  // namespace

std::string FormatRanges(std::vector<uint64_t> numbers) {
  SortUnique(numbers);
  return JoinRanges(numbers, 0);
}

std::string FormatHostlist(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  // Prefix and width (0 = no leading zeros) → numbers. A name without a number stands alone.
  std::map<std::pair<std::string, size_t>, std::vector<uint64_t>> groups;
  std::vector<std::string> parts;
  for (const std::string& name : names) {
    size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    const size_t count = name.size() - digits;
    if (count == 0 || count > 18) {
      parts.push_back(name);
      continue;
    }
    const size_t width = name[digits] == '0' && count > 1 ? count : 0;
    groups[{name.substr(0, digits), width}].push_back(std::stoull(name.substr(digits)));
  }
  for (auto& [key, numbers] : groups) {
    SortUnique(numbers);
    const std::string ranges = JoinRanges(numbers, key.second);
    parts.push_back(numbers.size() == 1 ? key.first + ranges
                                        : fmt::format("{}[{}]", key.first, ranges));
  }
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

}  // namespace muster
