#include "sim/reasons.h"

#include <fmt/format.h>

#include <cstdlib>

namespace muster::sim {
namespace {

// The number before ` free on ` in "waiting: 4 ranks × 1 slot, 2 free on 1 of 2 nodes"; -1 = none.
int64_t FreeSaid(const std::string& reason) {
  const size_t at = reason.find(" free on ");
  // To a job that wants nodes of its own, a node in use is not free.
  if (at == std::string::npos || reason.find("in use by others") != std::string::npos) return -1;
  size_t from = at;
  while (from > 0 && reason[from - 1] >= '0' && reason[from - 1] <= '9') --from;
  return from == at ? -1 : std::strtoll(reason.c_str() + from, nullptr, 10);
}

int64_t FreeSlots(const coordinator::core::Cluster& cluster) {
  int64_t free = 0;
  v1::ListNodesRequest request;
  request.set_page_size(2000);
  do {
    const auto page = cluster.ListNodes(request);
    if (!page.ok()) return -1;
    for (const v1::Node& node : page->nodes()) {
      if (node.spare_for() != 0) return -1;  // free for some only
      const bool usable = node.state() == v1::NODE_STATE_READY &&
                          node.admission() == v1::NODE_ADMISSION_OPEN && node.reason().empty();
      if (usable) free += int64_t{node.slots()} - node.slots_used();
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return free;
}

}  // namespace

std::string CheckReasons(const coordinator::core::Cluster& cluster) {
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  request.add_states(v1::JOB_STATE_QUEUED);
  int64_t free = -1;
  do {
    const auto page = cluster.ListJobs(request);
    if (!page.ok())
      return "reasons: jobs cannot be listed: " + std::string(page.status().message());
    for (const v1::Job& job : page->jobs()) {
      if (job.reason().empty()) {
        return fmt::format("reasons: job {} waits and says not why", job.id());
      }
      const int64_t said = FreeSaid(job.reason());
      if (said < 0) continue;
      if (free < 0) free = FreeSlots(cluster);
      if (free < 0 || said == free) continue;
      return fmt::format("reasons: job {} says \"{}\", and {} slots are free", job.id(),
                         job.reason(), free);
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return "";
}

}  // namespace muster::sim
