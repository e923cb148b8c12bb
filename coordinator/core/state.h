// All the coordinator knows: the recorded part, and beside it what workers will say again.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/core/array_table.h"
#include "coordinator/core/cluster.h"
#include "coordinator/core/dependencies.h"
#include "coordinator/core/events.h"
#include "coordinator/core/failure_rate.h"
#include "coordinator/core/incident_table.h"
#include "coordinator/core/job_table.h"
#include "coordinator/core/ledger_sum.h"
#include "coordinator/core/node_table.h"
#include "coordinator/core/quarantine_book.h"
#include "coordinator/core/queue_table.h"
#include "coordinator/core/timetable.h"
#include "coordinator/scheduler/inventory.h"

namespace muster::coordinator::core {

// What a request_id was used for.
struct RequestUse {
  enum class Call {
    kSubmit,
    kCancel,
    kHold,
    kRelease,
    kSuspend,
    kResume,
    kRequeue,
    kSave,
    kScale,
    kSetAdmission,
    kSetQueue,  // pause and resume too
    kAckIncident,
    kSetQuarantine,
    kTestNode,
  } call;
  JobId job = {};
  NodeId node = {};
  std::string queue = {};
  uint64_t incident = 0;
};

struct ClusterState {
  explicit ClusterState(const Options& chosen)
      : options(chosen),
        queues(chosen.usage_half_life),
        incidents(chosen.incidents_kept),
        events(chosen.events_kept) {}

  Options options;
  // Durable.
  std::string cluster_id;
  Epoch epoch;
  uint64_t revision = 0;
  int64_t record_unix_ms = 0;  // of the newest record
  JobTable jobs;
  NodeTable nodes;
  scheduler::Inventory inventory;  // room.h; usability is of this life only
  Timetable<JobId> time_limits;    // of attempts that are not being stopped
  Timetable<JobId> settling;       // when to look whether the program is well again: settled.cc
  FailureRate failure_rate;
  uint64_t nodes_up = 0;      // joined and not dead
  std::set<JobId> shortened;  // with a live attempt on a shorter data axis than asked for
  QueueTable queues;
  LedgerSum ledger_of_ended;  // of all jobs that ended
  ArrayTable arrays;
  Dependencies dependencies;
  IncidentTable incidents;
  QuarantineBook quarantine;
  std::map<std::string, RequestUse> requests;
  // Of this life only.
  EventRing events;
  absl::Time now = absl::InfinitePast();
  absl::Duration clock_behind;  // the clock was set back since the newest record
  uint64_t nonce = 0;           // of this life, beside its epoch
  absl::Time started_at = absl::InfinitePast();
  bool started = false;
  std::set<NodeId> awaited;  // alive before the restart, not yet back
  Timetable<NodeId> leases;  // when to look at the node's lease; a heartbeat leaves it as it is
  Timetable<NodeId> missing_shares;  // reconnected, and silent about ranks it should have
  Timetable<JobId> orders;           // something is to be said (again) to its nodes
  // Passes of the scheduler (planning.cc).
  bool plan_needed = true;                      // something changed that may matter
  absl::Time plan_at = absl::InfiniteFuture();  // one is due though nothing changes
  absl::Time planned_at = absl::InfinitePast();
  JobId planned_up_to;   // the youngest job the last one saw
  std::set<JobId> told;  // those whose wait it told
};

// Changes the recorded part; alone rebuilds it, in any life. Returns the event the record makes,
// which is also kept in `events`.
std::optional<v1::JobEvent> ApplyRecord(ClusterState& state, const v1::Record& record);

}  // namespace muster::coordinator::core
