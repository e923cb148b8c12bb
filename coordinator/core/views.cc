#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

#include "common/status.h"
#include "coordinator/core/advice.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/handlers.h"
#include "coordinator/core/holds.h"
#include "coordinator/core/ledger.h"

namespace muster::coordinator::core {
namespace {

constexpr uint32_t kPageDefault = 100;
constexpr uint32_t kJobsPageMax = 1000;
constexpr uint32_t kNodesPageMax = 2000;

uint32_t PageSize(uint32_t asked, uint32_t most) {
  return asked == 0 ? kPageDefault : std::min(asked, most);
}

std::string ReasonOf(const ClusterState& state, const Job& job) {
  if (job.ended()) return job.end_reason;
  const Attempt* attempt = job.LiveAttempt();
  if (attempt == nullptr) return job.suspended ? HoldReason(state, job) : WaitingReason(state, job);
  if (job.cancel_requested) {
    return job.cancel_reason.empty() ? "cancelling" : "cancelling: " + job.cancel_reason;
  }
  return attempt->stopping() ? CauseWithLastLine(attempt->facts.cause()) : attempt->facts.reason();
}

v1::Attempt AttemptView(const Attempt& attempt) {
  v1::Attempt view = attempt.facts;
  if (!attempt.live()) return view;
  const v1::Progress& progress = attempt.progress;
  view.set_first_step(std::max(view.first_step(), progress.first_step()));
  view.set_last_step(std::max(progress.step(), view.first_step()));
  view.set_from_memory(view.from_memory() || progress.from_memory());
  view.set_productive_seconds(progress.productive_seconds());
  view.set_checkpoint_seconds(progress.checkpoint_seconds());
  view.set_load_seconds(progress.load_seconds());
  view.set_straggler_seconds(progress.straggler_seconds());
  return view;
}

// Walks the jobs that may be in one of the wanted states, newest first.
class NewestFirst {
 public:
  NewestFirst(const JobTable& jobs, const v1::ListJobsRequest& request)
      : jobs_(jobs), all_(request.states().empty()) {
    for (const int state : request.states()) {
      const std::set<JobId>* set = jobs.SetWith(static_cast<v1::JobState>(state));
      if (set != nullptr) sets_.push_back(set);
    }
  }

  // The newest older than `id`; nullptr when there is none.
  const Job* OlderThan(JobId id) const {
    if (all_) {
      const auto at = jobs_.all().lower_bound(id);
      return at == jobs_.all().begin() ? nullptr : &std::prev(at)->second;
    }
    JobId newest;
    for (const std::set<JobId>* set : sets_) {
      const auto at = set->lower_bound(id);
      if (at != set->begin()) newest = std::max(newest, *std::prev(at));
    }
    return newest == JobId() ? nullptr : jobs_.Find(newest);
  }

 private:
  const JobTable& jobs_;
  const bool all_;
  std::vector<const std::set<JobId>*> sets_;
};

// The status of every rank its node has reported.
void AddRanks(const Attempt& attempt, v1::Job& view) {
  for (const v1::NodeShare& share : attempt.facts.shares()) {
    for (uint32_t rank = share.first_rank(); rank < share.first_rank() + share.ranks(); ++rank) {
      const SeenRank& seen = attempt.ranks[rank];
      if (!seen.reported) continue;
      v1::RankStatus* status = view.add_ranks();
      status->set_rank(rank);
      status->set_node(share.node());
      status->set_pid(seen.pid);
      status->set_state(seen.state);
      status->set_phase(seen.phase);
      status->set_step(seen.step);
    }
  }
}

int64_t NowMs(const ClusterState& state) {
  return std::max(absl::ToUnixMillis(state.now), state.record_unix_ms);
}

bool Wanted(const v1::ListJobsRequest& request, v1::JobState state) {
  if (request.states().empty()) return true;
  return std::find(request.states().begin(), request.states().end(), state) !=
         request.states().end();
}

}  // namespace

v1::Job JobView(const ClusterState& state, const Job& job, bool full) {
  v1::Job view;
  view.set_id(job.id.value());
  view.set_uid(job.uid);
  *view.mutable_spec() = job.spec;
  view.set_state(job.State());
  view.set_reason(ReasonOf(state, job));
  view.set_submit_unix_ms(job.submit_unix_ms);
  view.set_end_unix_ms(job.end_unix_ms);
  view.set_user(job.user);
  *view.mutable_progress() = job.progress;
  *view.mutable_ledger() = LedgerOf(state, job, full);
  view.set_revision(job.revision);
  view.set_held(job.held);
  view.set_suspended(job.suspended);
  view.set_array_id(job.array_id.value());
  view.set_array_index(job.array_index);
  if (!full) return view;
  if (auto advice = AdviceFor(state, job)) *view.mutable_checkpoint_advice() = *std::move(advice);
  for (const Attempt& attempt : job.attempts) *view.add_attempts() = AttemptView(attempt);
  if (const Attempt* attempt = job.LiveAttempt(); attempt != nullptr) {
    AddRanks(*attempt, view);
  }
  for (const auto& [kind, trouble] : job.save_troubles) *view.add_save_troubles() = trouble;
  view.mutable_checkpoints()->Assign(job.checkpoints.refs().begin(), job.checkpoints.refs().end());
  return view;
}

v1::Node NodeView(const ClusterState& state, const Node& node) {
  v1::Node view;
  view.set_name(node.name.value());
  view.set_state(state.started || node.dead ? node.State() : v1::NODE_STATE_SUSPECT);
  view.set_admission(node.admission);
  std::string reason = node.dead ? node.dead_reason : node.liveness.reason;
  if (node.admission != v1::NODE_ADMISSION_OPEN) {
    reason += (reason.empty() ? "" : "; ") + AdmissionText(node.admission, node.admission_reason);
  }
  if (reason.empty() && node.State() == v1::NODE_STATE_READY) reason = node.WhyNot();
  view.set_reason(reason);
  view.set_slots(node.slots);
  view.set_slots_used(node.slots - state.inventory.free_slots(node.index));
  view.mutable_devices()->Assign(node.devices.begin(), node.devices.end());
  view.set_peer_address(node.peer_address);
  view.set_incarnation(node.incarnation);
  if (node.lease.heard > absl::InfinitePast()) {
    view.set_last_heard_unix_ms(absl::ToUnixMillis(node.lease.heard));
  }
  for (const JobId id : node.jobs) view.add_jobs(id.value());
  *view.mutable_location() = node.location;
  view.mutable_labels()->Assign(node.labels.begin(), node.labels.end());
  view.mutable_taints()->Assign(node.taints.begin(), node.taints.end());
  view.set_spare_for(state.inventory.spare_for(node.index).value());
  const NodeHealth& health = node.health;
  view.set_quarantine(health.quarantine);
  view.set_quarantine_reason(health.reason);
  view.set_quarantine_until_unix_ms(health.until_unix_ms);
  view.set_failure_score(Score(health, NowMs(state), state.options.quarantine));
  view.set_tests(health.tests);
  if (!health.reports.empty()) *view.mutable_last_test() = health.reports.back();
  return view;
}

absl::StatusOr<v1::GetJobResponse> Cluster::GetJob(const v1::GetJobRequest& request) const {
  const Job* job = request.job_id() != 0 ? state_->jobs.Find(JobId(request.job_id()))
                                         : state_->jobs.FindByName(request.name());
  if (job == nullptr) {
    return request.job_id() != 0
               ? NotFound("there is no job {}; `muster list` shows those there are",
                          request.job_id())
               : NotFound("there is no job named \"{}\"; `muster list` shows those there are",
                          request.name());
  }
  v1::GetJobResponse response;
  *response.mutable_job() = JobView(*state_, *job, true);
  ExplainWaiting(*state_, *job, response.mutable_job());
  return response;
}

absl::StatusOr<v1::ListJobsResponse> Cluster::ListJobs(const v1::ListJobsRequest& request) const {
  uint64_t last = std::numeric_limits<uint64_t>::max();
  if (const std::string& token = request.page_token(); !token.empty()) {
    const auto parsed = std::from_chars(token.data(), token.data() + token.size(), last);
    if (parsed.ec != std::errc() || parsed.ptr != token.data() + token.size()) {
      return InvalidArgument(
          "page_token \"{}\" is none of ours; pass on next_page_token as it came", token);
    }
  }
  v1::ListJobsResponse response;
  response.set_revision(state_->revision);
  const uint32_t page = PageSize(request.page_size(), kJobsPageMax);
  const NewestFirst candidates(state_->jobs, request);
  for (const Job* job = candidates.OlderThan(JobId(last)); job != nullptr;
       job = candidates.OlderThan(job->id)) {
    if (!Wanted(request, job->State())) continue;
    if (static_cast<uint32_t>(response.jobs_size()) == page) {
      response.set_next_page_token(std::to_string(response.jobs(response.jobs_size() - 1).id()));
      break;
    }
    *response.add_jobs() = JobView(*state_, *job, request.full());
  }
  return response;
}

absl::StatusOr<v1::ListNodesResponse> Cluster::ListNodes(
    const v1::ListNodesRequest& request) const {
  const auto& nodes = state_->nodes.all();
  v1::ListNodesResponse response;
  const uint32_t page = PageSize(request.page_size(), kNodesPageMax);
  for (auto at = nodes.upper_bound(NodeId(request.page_token())); at != nodes.end(); ++at) {
    if (static_cast<uint32_t>(response.nodes_size()) == page) {
      response.set_next_page_token(response.nodes(response.nodes_size() - 1).name());
      break;
    }
    *response.add_nodes() = NodeView(*state_, at->second);
  }
  return response;
}

v1::GetClusterResponse Cluster::GetCluster() const {
  v1::GetClusterResponse response;
  response.set_cluster_id(state_->cluster_id);
  response.set_epoch(state_->epoch.value());
  response.set_revision(state_->revision);
  uint32_t ready = 0;
  for (const auto& [name, node] : state_->nodes.all()) {
    if (node.State() == v1::NODE_STATE_READY) ++ready;
  }
  uint64_t used = 0;
  for (const auto& [name, queue] : state_->queues.all()) used += queue.slots_held;
  response.set_nodes_ready(ready);
  response.set_nodes_total(static_cast<uint32_t>(state_->nodes.all().size()));
  response.set_slots_total(static_cast<uint32_t>(state_->inventory.slots_usable()));
  response.set_slots_used(static_cast<uint32_t>(used));
  response.set_jobs_waiting(static_cast<uint32_t>(state_->jobs.queued().size()));
  response.set_jobs_active(static_cast<uint32_t>(state_->jobs.active().size()));
  if (state_->started) response.set_start_unix_ms(absl::ToUnixMillis(state_->started_at));
  return response;
}

absl::StatusOr<v1::PlanJobResponse> Cluster::PlanJob(const v1::PlanJobRequest& request) const {
  MUSTER_ASSIGN_OR_RETURN(const v1::JobSpec spec, AcceptableSpec(*state_, request.spec(), "plan"));
  return PlanOne(*state_, spec, request.user());
}

absl::StatusOr<std::vector<v1::JobEvent>> Cluster::EventsAfter(uint64_t revision, JobId job) const {
  return state_->events.After(revision, job);
}

}  // namespace muster::coordinator::core
