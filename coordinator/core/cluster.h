// The coordinator's mind: jobs, attempts, nodes and leases, and every decision about them.
//
// Step decides: it looks at one input and the time, and returns the records that change the state,
// the commands to workers, the answers to callers and the events for watchers, each with its
// reason. It changes durable state only by applying the records it returns, so Apply over the same
// records rebuilds it after a crash. What workers will say again (heartbeats, progress, sessions)
// lives beside it and is not recorded.
//
// The surprising rule: after a restart every node that was alive counts as SUSPECT until it
// reconnects, and nothing is started or given up before `reconnect_grace` has passed.
//
// Time:    callers pass `now`; it never goes back while one life lasts. Nothing here reads a clock.
//          A life whose clock was set back goes on from the time of the newest record.
// Threads: none. Owned by the coordinator's event loop.
// Errors:  in Outcome::replies, with canonical codes. A record that cannot apply is a CHECK.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/core/input.h"
#include "coordinator/core/outcome.h"
#include "coordinator/core/quarantine.h"
#include "muster/v1/incident.pb.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/journal.pb.h"
#include "muster/v1/ledger.pb.h"
#include "muster/v1/node.pb.h"
#include "muster/v1/queue.pb.h"

namespace muster::coordinator::core {

struct ClusterState;

struct Options {
  absl::Duration heartbeat_interval = absl::Milliseconds(500);
  absl::Duration suspect_after = absl::Seconds(2);    // silence on an open stream
  absl::Duration dead_after = absl::Seconds(5);       // silence, or stream broken and not back
  absl::Duration reconnect_grace = absl::Seconds(5);  // after a coordinator start
  absl::Duration reconnect_jitter = absl::Milliseconds(500);
  absl::Duration stop_grace = absl::Seconds(3);  // SIGTERM to SIGKILL when a job is cancelled
  absl::Duration drain_grace =
      absl::Seconds(30);  // the same when its node is drained: time to save
  // The same when it is preempted, suspended, requeued, resized or out of time, unless it states
  // schedule.preempt_grace.
  absl::Duration preempt_grace = absl::Seconds(60);
  absl::Duration order_repeat = absl::Seconds(1);    // an order not yet obeyed is sent again
  absl::Duration usage_half_life = absl::Hours(24);  // of what a queue has used
  double price_per_slot_hour = 2.0;                  // 0 = slots are not priced
  std::string currency = "USD";
  // With more jobs than these waiting or running, passes of the scheduler keep a distance.
  size_t plan_at_once = 64;
  absl::Duration plan_interval = absl::Milliseconds(100);
  size_t events_kept = 10'000;
  // Nodes of one rack (or nvlink segment, or pod) lost within so long are one incident.
  absl::Duration correlate_within = absl::Seconds(10);
  size_t incidents_kept = 10'000;  // of those that are over
  // A program that tells no steps is well again once all its ranks ran for so long.
  absl::Duration settled_after = absl::Seconds(10);
  // Status pages standing still for so long are a hang, when the job does not say.
  absl::Duration hang_after = absl::Minutes(1);
  QuarantineOptions quarantine;
};

class Cluster {
 public:
  explicit Cluster(const Options& options);
  ~Cluster();
  Cluster(Cluster&&) noexcept;
  Cluster& operator=(Cluster&&) noexcept;

  // Another that knows the same, this life's knowledge included, and goes its own way from here:
  // for what-if questions. O(all it knows).
  Cluster Copy() const;

  Outcome Step(const Input& input, absl::Time now);
  void Apply(const v1::Record& record);
  // The first time at which a Tick may have an effect; until then Ticks may be left out. In the
  // past: at once. Infinite: not before another input.
  absl::Time WakeAt() const;

  // Queries. No effect, no time: "now" is that of the last Step.
  Epoch epoch() const;
  const std::string& cluster_id() const;
  uint64_t revision() const;  // records applied
  absl::StatusOr<v1::GetJobResponse> GetJob(const v1::GetJobRequest& request) const;
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request) const;
  absl::StatusOr<v1::ListNodesResponse> ListNodes(const v1::ListNodesRequest& request) const;
  // The node, with what spoke against it, its quarantines and its tests.
  absl::StatusOr<v1::GetNodeResponse> GetNode(const v1::GetNodeRequest& request) const;
  v1::ListQueuesResponse ListQueues() const;
  v1::GetClusterResponse GetCluster() const;
  // Where the slot-seconds went. Errors: kInvalidArgument, kNotFound.
  absl::StatusOr<v1::GetLedgerResponse> GetLedger(const v1::GetLedgerRequest& request) const;
  // Where the job would start now, or why it would wait. Exactly the scheduler's answer.
  absl::StatusOr<v1::PlanJobResponse> PlanJob(const v1::PlanJobRequest& request) const;
  // Remembered events after a revision, oldest first. kOutOfRange when some were forgotten.
  absl::StatusOr<std::vector<v1::JobEvent>> EventsAfter(uint64_t revision, JobId job) const;

  absl::StatusOr<v1::ListIncidentsResponse> ListIncidents(
      const v1::ListIncidentsRequest& request) const;
  absl::StatusOr<v1::GetIncidentResponse> GetIncident(const v1::GetIncidentRequest& request) const;
  // Every incident that changed after a revision, as it is now, oldest change first. kOutOfRange
  // when one of them was forgotten. Job 0: of all jobs.
  absl::StatusOr<std::vector<v1::Incident>> IncidentsAfter(uint64_t revision, JobId job) const;
  struct IncidentCounts {
    uint64_t open = 0;                            // waiting ones too
    uint64_t waiting = 0;                         // for room, or a person
    std::map<v1::Blame, uint64_t> over_by_blame;  // since the first
  };
  IncidentCounts CountIncidents() const;

 private:
  explicit Cluster(std::unique_ptr<ClusterState> state);

  std::unique_ptr<ClusterState> state_;
};

}  // namespace muster::coordinator::core
