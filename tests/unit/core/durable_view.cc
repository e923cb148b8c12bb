#include "tests/unit/core/durable_view.h"

#include <fmt/format.h>

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

v1::Job Durable(v1::Job job) {
  job.clear_progress();
  job.clear_ranks();
  job.clear_accounting();
  if (job.state() == v1::JOB_STATE_QUEUED) job.clear_reason();
  for (v1::Attempt& attempt : *job.mutable_attempts()) {
    if (attempt.state() == v1::ATTEMPT_STATE_ENDED) continue;
    if (attempt.first_step_unix_ms() == 0) attempt.clear_first_step();
    attempt.clear_last_step();
    attempt.clear_productive_seconds();
    attempt.clear_checkpoint_seconds();
    attempt.clear_load_seconds();
  }
  return job;
}

v1::Node Durable(v1::Node node) {
  if (node.state() != v1::NODE_STATE_DEAD) {
    node.clear_state();
    node.clear_reason();
  }
  node.clear_last_heard_unix_ms();
  return node;
}

}  // namespace

std::string DurableView(const Cluster& cluster) {
  std::string text = fmt::format("cluster {} epoch {} revision {}\n", cluster.cluster_id(),
                                 cluster.epoch().value(), cluster.revision());
  v1::ListJobsRequest jobs_request;
  jobs_request.set_full(true);
  do {
    const auto jobs = cluster.ListJobs(jobs_request);
    CHECK(jobs.ok(), "{}", std::string(jobs.status().message()));
    for (const v1::Job& job : jobs->jobs()) text += Durable(job).DebugString();
    jobs_request.set_page_token(jobs->next_page_token());
  } while (!jobs_request.page_token().empty());
  v1::ListNodesRequest nodes_request;
  do {
    const auto nodes = cluster.ListNodes(nodes_request);
    CHECK(nodes.ok(), "{}", std::string(nodes.status().message()));
    for (const v1::Node& node : nodes->nodes()) text += Durable(node).DebugString();
    nodes_request.set_page_token(nodes->next_page_token());
  } while (!nodes_request.page_token().empty());
  return text;
}

std::string ReplayedView(const Options& options, const std::vector<v1::Record>& records) {
  Cluster fresh(options);
  for (const v1::Record& record : records) fresh.Apply(record);
  return DurableView(fresh);
}

}  // namespace muster::coordinator::core
