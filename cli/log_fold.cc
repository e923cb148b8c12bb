#include "cli/log_fold.h"

#include <fmt/format.h>

#include "common/hostlist.h"

namespace muster::cli {
namespace {

constexpr size_t kWaitingMax = 2'000;  // looked through for every line
constexpr size_t kLineBytesMax = size_t{64} * 1024;

}  // namespace

void LogFold::Add(uint32_t rank, const std::string& bytes, absl::Time now) {
  std::string& line = unfinished_[rank];
  size_t begin = 0;
  for (size_t end; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1) {
    AddLine(rank, line + bytes.substr(begin, end - begin), now);
    line.clear();
  }
  line += bytes.substr(begin);
  if (line.size() > kLineBytesMax) {
    AddLine(rank, line, now);
    line.clear();
  }
}

void LogFold::End(uint32_t rank, absl::Time now) {
  std::string& line = unfinished_[rank];
  if (!line.empty()) AddLine(rank, line, now);
  line.clear();
}

void LogFold::AddLine(uint32_t rank, std::string text, absl::Time now) {
  uint64_t& next = next_of_rank_[rank];
  for (Line& line : waiting_) {
    if (line.number >= next && line.text == text) {
      line.ranks.push_back(rank);
      next = line.number + 1;
      return;
    }
  }
  waiting_.push_back({std::move(text), {rank}, now, next_number_});
  next = ++next_number_;
}

std::vector<std::string> LogFold::Take(absl::Time now, bool all) {
  std::vector<std::string> lines;
  while (!waiting_.empty()) {
    const Line& line = waiting_.front();
    if (!all && line.ranks.size() < rank_count_ && now - line.since < wait_ &&
        waiting_.size() <= kWaitingMax) {
      break;
    }
    lines.push_back(fmt::format("[{}] {}", FormatRanges(line.ranks), line.text));
    waiting_.pop_front();
  }
  return lines;
}

}  // namespace muster::cli
