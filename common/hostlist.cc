#include "common/hostlist.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "common/status.h"

namespace muster {
namespace {

constexpr size_t kDigitsMax = 18;  // of a number that fits 64 bits

// Where the number at the end of the name begins.
size_t NumberAt(const std::string& name) {
  size_t at = name.size();
  while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9') --at;
  return at;
}

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

constexpr size_t kNamesMax = 100'000;

bool IsNameLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

absl::Status BadHostlist(const std::string& text, const std::string& why) {
  return InvalidArgument("\"{:.80}\" is not a host list: {}; write n1, n[1-4] or n[01-04,9],gpu7",
                         text, why);
}

absl::StatusOr<uint64_t> ParseNumber(const std::string& text, const std::string& whole) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) {
    return BadHostlist(whole, fmt::format("\"{:.20}\" in brackets is not a number", text));
  }
  return value;
}

// The words of "01-03,9": 01, 02, 03, 9.
absl::StatusOr<std::vector<std::string>> ParseBracket(const std::string& inside,
                                                      const std::string& whole) {
  std::vector<std::string> words;
  for (size_t start = 0; start <= inside.size();) {
    const size_t comma = std::min(inside.find(',', start), inside.size());
    const std::string part = inside.substr(start, comma - start);
    start = comma + 1;
    const size_t dash = part.find('-');
    const std::string from = part.substr(0, dash);
    MUSTER_ASSIGN_OR_RETURN(const uint64_t first, ParseNumber(from, whole));
    uint64_t last = first;
    if (dash != std::string::npos) {
      MUSTER_ASSIGN_OR_RETURN(last, ParseNumber(part.substr(dash + 1), whole));
    }
    if (last < first) return BadHostlist(whole, fmt::format("{} counts down", part));
    if (last - first >= kNamesMax - words.size()) return BadHostlist(whole, "too many names");
    const size_t width = from.size() > 1 && from[0] == '0' ? from.size() : 0;
    for (uint64_t i = 0; i <= last - first; ++i) {
      words.push_back(fmt::format("{:0{}}", first + i, width));
    }
  }
  return words;
}

// The names of one part without a comma outside brackets.
absl::StatusOr<std::vector<std::string>> ParsePattern(const std::string& pattern,
                                                      const std::string& whole) {
  std::vector<std::string> names = {""};
  for (size_t i = 0; i < pattern.size();) {
    std::vector<std::string> words = {std::string(1, pattern[i])};
    if (pattern[i] == '[') {
      const size_t close = pattern.find(']', i);
      if (close == std::string::npos) return BadHostlist(whole, "a bracket is not closed");
      MUSTER_ASSIGN_OR_RETURN(words, ParseBracket(pattern.substr(i + 1, close - i - 1), whole));
      i = close + 1;
    } else if (IsNameLetter(pattern[i])) {
      ++i;
    } else {
      return BadHostlist(whole, fmt::format("'{:.1}' cannot be in a name", pattern.substr(i)));
    }
    if (names.size() * words.size() > kNamesMax) return BadHostlist(whole, "too many names");
    std::vector<std::string> longer;
    longer.reserve(names.size() * words.size());
    for (const std::string& name : names) {
      for (const std::string& word : words) longer.push_back(name + word);
    }
    names = std::move(longer);
  }
  if (pattern.empty()) return BadHostlist(whole, "a name is missing");
  return names;
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
    const size_t digits = NumberAt(name);
    const size_t count = name.size() - digits;
    if (count == 0 || count > kDigitsMax) {
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

absl::StatusOr<std::vector<std::string>> ParseHostlist(const std::string& text) {
  std::vector<std::string> names;
  size_t start = 0;
  bool in_bracket = false;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '[') in_bracket = true;
    if (i < text.size() && text[i] == ']') in_bracket = false;
    if (i < text.size() && (text[i] != ',' || in_bracket)) continue;
    MUSTER_ASSIGN_OR_RETURN(const std::vector<std::string> more,
                            ParsePattern(text.substr(start, i - start), text));
    if (names.size() + more.size() > kNamesMax) return BadHostlist(text, "too many names");
    names.insert(names.end(), more.begin(), more.end());
    start = i + 1;
  }
  return names;
}

std::string NextName(const std::string& name) {
  const size_t at = NumberAt(name);
  const size_t digits = name.size() - at;
  if (digits == 0 || digits > kDigitsMax) return "";
  return fmt::format("{}{:0{}}", name.substr(0, at), std::stoull(name.substr(at)) + 1, digits);
}

}  // namespace muster
