// Beside each node's health: what reaches over several nodes, and what is still to be judged.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "coordinator/core/node_table.h"
#include "coordinator/core/quarantine.h"
#include "coordinator/core/timetable.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::core {

struct ClusterState;
struct Job;
struct Attempt;

// Derived from the records.
struct QuarantineBook {
  struct Named {
    NodeId node;
    bool new_in_row = false;  // Streaks::Failed
  };
  struct Loss {
    int64_t unix_ms = 0;
    NodeId node;
  };
  Streaks streaks;
  std::map<AttemptKey, Named> named;  // live attempts that failed: whom they accuse
  std::vector<Loss> losses;           // of one event, oldest first
  std::set<NodeId> accused;           // something was added since it was judged
  std::set<NodeId> cleared;           // something was taken back since
  Timetable<NodeId> due;              // the end of a cool-down or probation, a test to repeat
};

// apply_quarantine.cc: how records change the health of nodes.
void ApplyNodeQuarantineSet(ClusterState& state, const v1::Record& record);
void ApplyNodeTested(ClusterState& state, const v1::Record& record);
// The node died: `node` still has its jobs.
void NoteNodeDied(ClusterState& state, Node& node, const v1::Record& record);
// The attempt stops; a later record of the same attempt replaces what the first one said.
void NoteAttemptStopping(ClusterState& state, const Job& job, const v1::Record& record);
// What the failure adds to the health of the node it names; not for a loss, which counts with the
// death of the node.
Fault FaultOf(const Job& job, const v1::AttemptStopping& stopping, const Accusation& accusation,
              int64_t unix_ms);
// The attempt has ended; `fruitful`: with something that no attempt before it had.
void NoteAttemptEnded(ClusterState& state, const Job& job, const Attempt& attempt, bool fruitful);

}  // namespace muster::coordinator::core
