// One attempt of a job: the recorded facts, and what its nodes say about their shares of it.
//
//   STARTING ──all ranks run──▶ RUNNING
//       │                          │
//       └───── stop ──▶ STOPPING ◀─┘ ──every share gone──▶ ENDED
//
// Observe only counts; recovery.h decides. Ranks never come back to life: an exit that was seen
// stays, whatever a later report says.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

// One node's part of a live attempt.
struct Share {
  NodeId node;
  uint64_t placed_incarnation = 0;  // of the worker, when the attempt was placed
  uint32_t ranks = 0;
  uint32_t exited = 0;
  bool reported = false;    // it knows of the attempt
  bool stopped = false;     // no process is left
  bool lost = false;        // the node was declared dead
  uint64_t saves_told = 0;  // of the orders to save, the newest its ranks know of
  absl::Time next_order = absl::InfinitePast();

  bool done() const { return stopped || lost; }
};

// A rank, as its node reports it.
struct SeenRank {
  v1::RankState counted = v1::RANK_STATE_UNSPECIFIED;  // never goes back
  v1::RankState state = v1::RANK_STATE_UNSPECIFIED;    // as last reported
  v1::Phase phase = v1::PHASE_UNSPECIFIED;
  bool reported = false;
  int64_t pid = 0;
  uint64_t step = 0;
  bool can_reform = false;
  uint32_t save_troubles = 0;  // a bit for each kind
  bool still = false;          // counted in Attempt::ranks_still
  int64_t still_ms = 0;
  std::string process_state;
  // While it stands still: the one it is inside, else the newest it began.
  std::optional<v1::CollectiveSeen> collective;
};

// A rank that ended by itself, and badly.
struct RankFailure {
  NodeId node;
  v1::RankReport report;
};

struct Attempt {
  // Durable.
  v1::Attempt facts;
  int64_t stop_unix_ms = 0;
  bool new_checkpoint = false;              // it committed one newer than any before
  v1::Blame blame = v1::BLAME_UNSPECIFIED;  // for its failure
  std::vector<v1::Evidence> evidence;       // of its failure; the root first
  uint64_t evidence_left_out = 0;
  // Per share, the slots an exclusive job holds beside those of its ranks; empty when it is none.
  std::vector<uint32_t> left_slots;
  // While it lives.
  std::vector<Share> shares;    // by first rank, as in `facts`
  std::vector<SeenRank> ranks;  // by rank
  std::string gang_order;       // gang_order.h; empty = not yet needed
  uint32_t ranks_up = 0;        // running, or exited
  uint32_t ranks_clean = 0;     // exited 0 by themselves
  uint32_t shares_done = 0;
  bool failed_while_stopping = false;
  bool memory_suspect = false;    // its ranks found corruption (evidence.h)
  bool grows = false;             // stops to be placed with more of its data axis; durable
  bool has_new_evidence = false;  // that no record tells yet
  std::array<uint32_t, v1::SaveTroubleKind_ARRAYSIZE> ranks_in_trouble = {};  // of each kind
  uint32_t ranks_still = 0;    // whose page stands still for longer than a hang takes
  int64_t still_limit_ms = 0;  // hangs.h; 0 = not yet known
  v1::Progress progress;       // rank 0's newest

  bool live() const { return facts.state() != v1::ATTEMPT_STATE_ENDED; }
  bool stopping() const { return facts.state() == v1::ATTEMPT_STATE_STOPPING; }
  // STARTING or RUNNING: nothing has gone wrong yet.
  bool good() const { return live() && !stopping(); }
  bool all_done() const { return shares_done == shares.size(); }
  bool all_clean() const { return ranks_clean == ranks.size(); }
  // Every rank that has not ended says that it can go on with new neighbours, and some has not.
  bool can_reform() const;

  void Place(const google::protobuf::RepeatedPtrField<v1::NodeShare>& placed);
  void Unplace();  // forgets all but the facts
  // In O(log shares); nullptr when it has none.
  Share* ShareOf(const NodeId& node);
  void MarkLost(Share& share);
  // Takes a report in. Returns the new failures in it, by the time they happened.
  std::vector<RankFailure> Observe(Share& share, const v1::AttemptReport& report);

 private:
  void NoteStill(SeenRank& one, const v1::RankReport& rank);

  std::vector<uint32_t> by_node_;  // indices of shares, by name of the node
};

// Asked to stop, with time to save; what it commits until it is gone counts. False for a failure,
// and for an attempt that is through.
bool StopsGracefully(v1::AttemptOutcome outcome);

// May checkpoints still be committed by an attempt in this state?
bool MayCommit(v1::AttemptState state, v1::AttemptOutcome outcome);

// A rank's exit code that says: I was told to stop, and saved.
inline constexpr int kExitStopped = 75;

}  // namespace muster::coordinator::core
