// The recovery ladder: which repair a failure gets.
//
//   re-form → restart → replace → shrink → step back → requeue → stop
//
// The cheapest rung that can work is taken; one that was tried and brought nothing is not tried
// again for the same failure, so that failures in a row climb. The surprising rule: stepping back
// to an older checkpoint may come with a replacement; the rung is then the higher of the two.
//
// Pure: plain values in, a rung and its reason out.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

// What is known when an attempt failed.
struct Situation {
  // The failure.
  uint32_t nodes_lost = 0;   // of the attempt, that the next one cannot use
  std::string lost;          // their names, or of one of them
  std::string accused;       // the node whose rank failed first each time; empty = none
  bool ranks_failed = true;  // a rank failed by itself; `failures` counts only these
  // In a row without progress, this one included; one that made progress is not in the row.
  uint32_t failures = 1;
  uint32_t failures_max = 3;  // recovery.attempts_without_progress
  // Losses of nodes in a row without progress, this one included, and how many of them the failures
  // of the cluster's machines explain.
  uint32_t losses = 0;
  double losses_expected = 0;
  // Checkpoints.
  bool has_checkpoint = false;
  uint64_t newest_step = 0;     // of the newest committed one that is not marked bad
  uint32_t failed_resumes = 0;  // from it in a row, without a step beyond it; this one included
  bool has_older = false;       // a committed one before it
  uint64_t older_step = 0;
  uint64_t save_every = 0;  // steps between two; 0 = unknown
  bool memory = false;      // its nodes' memory may hold a later step, for ranks as they were
  // What there is to repair with.
  bool can_reform = false;   // every rank that is left says that it can
  bool spare_ready = false;  // an idle hot spare of the job
  bool room_for_all = true;  // on nodes it may use: spares, its own and free ones; not the accused
  bool room_with_accused = true;  // the same, the accused node included
  uint32_t data_size = 0;         // of its mesh; 0 = it has no such axis
  uint32_t smaller_data = 0;      // the longest shorter axis with room; 0 = none, or not allowed
  uint32_t data_min = 0;          // the shortest allowed; 0 = never shorter
};

struct Repair {
  v1::Rung rung = v1::RUNG_RESTART;
  bool without_accused = false;  // the accused node is avoided
  bool mark_bad = false;         // the newest checkpoint is offered no more
  bool from_the_start = false;   // no checkpoint is left
  std::string
      reason;  // "replacing n2 by a hot spare and restarting from step 40 or later", one line
};

// Two failed resumes from one checkpoint mark it bad.
constexpr uint32_t kFailedResumesMax = 2;

Repair ChooseRepair(const Situation& situation);

// Too much in a row brought nothing: another attempt would be one of many. Losses of nodes speak
// against the program only when there are far more of them than machines fail by themselves; but
// nothing goes on for ever.
bool IsHopeless(const Situation& situation);

// Is the newest checkpoint to be given up? The last one only when a start from the beginning costs
// no more than a failure just before the first save would have: it is no further than one interval.
bool MarksNewestBad(const Situation& situation);

// What a new attempt is, compared with the one that failed.
struct Carried {
  bool after_failure = false;  // the attempt before it failed
  bool waited_for_room = false;
  bool stepped_back = false;  // a checkpoint was marked bad since
  bool shorter = false;       // its data axis, than that of the attempt before
  bool other_nodes = false;
};
// The highest rung it carries out; none when it repairs nothing.
v1::Rung RungOf(const Carried& carried);

}  // namespace muster::coordinator::core
