// Adds up stretches of many jobs, in whole slot-milliseconds, and says the sum as a Ledger.
//
// Owns: nothing of the jobs it was fed.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "coordinator/core/stretches.h"

namespace muster::coordinator::core {

struct Price {
  double per_slot_hour = 0;
  std::string currency;
};

// What of a job counts.
struct LedgerCut {
  int64_t since_ms = std::numeric_limits<int64_t>::min();
  int64_t until_ms = std::numeric_limits<int64_t>::max();
  const NodeId* node = nullptr;  // only what was held there; nullptr = anywhere

  bool whole() const {
    return since_ms == std::numeric_limits<int64_t>::min() &&
           until_ms == std::numeric_limits<int64_t>::max() && node == nullptr;
  }
};

class LedgerSum {
 public:
  void Add(const Job& job, int64_t now_ms, const LedgerCut& cut);
  void Add(const LedgerSum& other);
  // A job that was added as `before` turned out to be `after`; both have the same failures.
  void Correct(const LedgerSum& before, const LedgerSum& after);

  const KindMs& wall_ms() const { return wall_ms_; }
  const KindMs& slot_ms() const { return slot_ms_; }  // slots x milliseconds

  // `full`: with entries and causes.
  v1::Ledger Say(const Price& price, bool full) const;

 private:
  struct Cause {
    // An incident of which only attempts are known counts once for each: (job, attempt).
    std::set<std::pair<uint64_t, uint64_t>> incidents;
    int64_t slot_ms = 0;
  };
  using CauseKey = std::pair<v1::Blame, std::string>;

  void Charge(const Job& job, const Attempt& failure, int64_t slot_ms);

  KindMs wall_ms_ = {};
  KindMs slot_ms_ = {};
  uint64_t steps_recomputed_ = 0;
  uint64_t attempts_ = 0;
  uint64_t jobs_ = 0;
  std::map<CauseKey, Cause> causes_;
};

// What failed, without names and numbers: "rank killed by SIGKILL", "node lost".
std::string CauseInShort(const Attempt& attempt);

}  // namespace muster::coordinator::core
