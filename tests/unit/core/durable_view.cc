#include "tests/unit/core/durable_view.h"

#include <fmt/format.h>

#include <map>

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

// While an attempt lives, its ranks say it again; then the record of its end has most of it.
void KeepRecorded(const v1::Job& job, v1::Progress* progress) {
  const bool lives = job.state() == v1::JOB_STATE_STARTING ||
                     job.state() == v1::JOB_STATE_RUNNING || job.state() == v1::JOB_STATE_STOPPING;
  if (lives) return progress->Clear();
  progress->clear_phase();
  progress->clear_grad_norm();
  progress->clear_lr();
  progress->clear_tokens_per_second();
  progress->clear_step_seconds();
  progress->clear_updates();
}

v1::Queue Durable(v1::Queue queue) {
  queue.clear_usage_slot_hours();  // as of now, which a replay does not know
  queue.clear_share();
  queue.clear_head_reason();
  return queue;
}

v1::Job Durable(v1::Job job) {
  KeepRecorded(job, job.mutable_progress());
  job.clear_ranks();
  job.clear_ledger();
  job.clear_checkpoint_advice();
  if (job.state() == v1::JOB_STATE_QUEUED) job.clear_reason();
  for (v1::Attempt& attempt : *job.mutable_attempts()) {
    if (attempt.state() == v1::ATTEMPT_STATE_ENDED) continue;
    if (attempt.first_step_unix_ms() == 0) {
      attempt.clear_first_step();
      attempt.clear_from_memory();
    }
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
  node.clear_failure_score();  // as of now, which a replay does not know
  return node;
}

// What an open one waits for, and for how long, is of this life.
v1::Incident Durable(v1::Incident incident) {
  if (incident.end_unix_ms() != 0) return incident;
  incident.set_state(v1::INCIDENT_STATE_OPEN);
  incident.clear_text();
  incident.clear_slot_seconds_lost();
  for (v1::IncidentJob& job : *incident.mutable_jobs()) {
    if (job.state() != v1::INCIDENT_STATE_OPEN && job.state() != v1::INCIDENT_STATE_WAITING) {
      continue;
    }
    job.set_state(v1::INCIDENT_STATE_OPEN);
    job.clear_waiting_for();
    job.clear_seconds();
  }
  return incident;
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
  std::map<std::string, v1::Queue> queues;  // by name: their order depends on use
  const v1::ListQueuesResponse listed = cluster.ListQueues();
  for (const v1::Queue& queue : listed.queues()) queues[queue.spec().name()] = Durable(queue);
  for (const auto& [name, queue] : queues) text += queue.DebugString();
  v1::ListNodesRequest nodes_request;
  do {
    const auto nodes = cluster.ListNodes(nodes_request);
    CHECK(nodes.ok(), "{}", std::string(nodes.status().message()));
    for (const v1::Node& node : nodes->nodes()) text += Durable(node).DebugString();
    nodes_request.set_page_token(nodes->next_page_token());
  } while (!nodes_request.page_token().empty());
  const auto incidents = cluster.IncidentsAfter(0, JobId());
  CHECK(incidents.ok(), "{}", std::string(incidents.status().message()));
  for (const v1::Incident& incident : *incidents) text += Durable(incident).DebugString();
  return text;
}

std::string ReplayedView(const Options& options, const std::vector<v1::Record>& records) {
  Cluster fresh(options);
  for (const v1::Record& record : records) fresh.Apply(record);
  return DurableView(fresh);
}

}  // namespace muster::coordinator::core
