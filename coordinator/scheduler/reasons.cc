#include "coordinator/scheduler/reasons.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "common/duration.h"
#include "common/hostlist.h"

namespace muster::coordinator::scheduler {
namespace {

constexpr size_t kNodesNamed = 8;  // more are folded into one host list
constexpr size_t kJobsNamed = 4;

std::string WhereText(const std::vector<v1::NodeShare>& shares) {
  std::string text;
  if (shares.size() > kNodesNamed) {
    std::vector<std::string> names;
    names.reserve(shares.size());
    for (const v1::NodeShare& share : shares) names.push_back(share.node());
    return fmt::format("{} nodes {}", shares.size(), FormatHostlist(std::move(names)));
  }
  for (const v1::NodeShare& share : shares) {
    const uint32_t last = share.first_rank() + share.ranks() - 1;
    text += fmt::format("{}{} ({}{})", text.empty() ? "" : ", ", share.node(), share.first_rank(),
                        share.ranks() > 1 ? fmt::format("-{}", last) : "");
  }
  return text;
}

// Why these nodes, compared with the attempt before: "same nodes as attempt 1", "n3 replaces n2".
std::string ChangeText(const WaitingJob& job, const std::vector<v1::NodeShare>& shares) {
  if (job.previous == nullptr || job.previous->empty()) return "";
  std::set<std::string> before, after;
  for (const v1::NodeShare& share : *job.previous) before.insert(share.node());
  for (const v1::NodeShare& share : shares) after.insert(share.node());
  if (before == after) return fmt::format(": same nodes as attempt {}", job.previous_attempt);
  std::vector<std::string> gone, come;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(gone));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(come));
  if (come.empty()) return fmt::format(": without {}", FormatHostlist(gone));
  if (gone.empty()) return fmt::format(": with {}", FormatHostlist(come));
  return fmt::format(": {} {} {}", FormatHostlist(come), come.size() == 1 ? "replaces" : "replace",
                     FormatHostlist(gone));
}

}  // namespace

std::string JobsText(const std::vector<JobId>& jobs) {
  if (jobs.size() == 1) return fmt::format("job {}", jobs[0].value());
  std::string text = "jobs ";
  for (size_t i = 0; i < std::min(jobs.size(), kJobsNamed); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", jobs[i].value());
  }
  if (jobs.size() > kJobsNamed) text += fmt::format(" and {} more", jobs.size() - kJobsNamed);
  return text;
}

std::string StartText(const WaitingJob& job, const std::vector<v1::NodeShare>& shares,
                      const std::vector<NodeId>& spares) {
  std::string text = fmt::format("{} on {}{}", CountText(job.shape->ranks, "rank"),
                                 WhereText(shares), ChangeText(job, shares));
  if (spares.empty()) return text;
  std::vector<std::string> names;
  names.reserve(spares.size());
  for (const NodeId& spare : spares) names.push_back(spare.value());
  return text + fmt::format("; {} {} hot spare{}", FormatHostlist(names),
                            names.size() == 1 ? "is its" : "are its", names.size() == 1 ? "" : "s");
}

std::string AfterText(const std::vector<JobId>& jobs, absl::Duration within) {
  const std::string who = JobsText(jobs) + (jobs.size() == 1 ? " ends" : " have ended");
  if (within == absl::InfiniteDuration()) {
    return fmt::format("starts when {}; no time limit says when", who);
  }
  return fmt::format("starts when {}, in {} at most", who, DurationText(within));
}

std::string VacatingText(const std::vector<JobId>& jobs, uint64_t slots, absl::Duration within,
                         bool already) {
  const bool one = jobs.size() == 1;
  const std::string state = !already ? "will be stopped" : one ? "is stopping" : "are stopping";
  return fmt::format("{} {} and {} {} within {}", JobsText(jobs), state, one ? "leaves" : "leave",
                     CountText(slots, "slot"), DurationText(within));
}

}  // namespace muster::coordinator::scheduler
