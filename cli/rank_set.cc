#include "cli/rank_set.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace muster::cli {

absl::StatusOr<std::set<uint32_t>> ParseRankSet(const std::string& text, uint32_t count) {
  std::set<uint32_t> ranks;
  if (text.empty()) return ranks;
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  for (const std::string& part : parts) {
    const std::vector<std::string> ends = absl::StrSplit(part, absl::MaxSplits('-', 1));
    uint32_t first = 0;
    uint32_t last = 0;
    if (!absl::SimpleAtoi(ends.front(), &first) || !absl::SimpleAtoi(ends.back(), &last) ||
        first > last) {
      return InvalidArgument("--rank {}: want ranks such as 3, 0-3 or 0-3,7", text);
    }
    if (last >= count) {
      return InvalidArgument("--rank {}: the job has ranks 0 to {}", text, count - 1);
    }
    for (uint32_t rank = first; rank <= last; ++rank) ranks.insert(rank);
  }
  return ranks;
}

}  // namespace muster::cli
