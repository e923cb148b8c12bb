// What a job's wall time went into, in the order it passed: the ledger before anything is added up.
//
// Stretches follow one another without gaps from the first placement to the end of the job, or to
// now; inside one, every millisecond is in exactly one kind. What the trainer measured (steps,
// saves, the load) has lengths but no places: within a stretch the kinds are mixed evenly, and the
// steps that were lost are the last ones.
//
// The surprising rule: measures never win over records. They are cut to the room the times of the
// records leave, steps after the load and saves after the steps.
//
// Time: callers pass `now`. Times that contradict one another are clamped into order.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "coordinator/core/job_table.h"
#include "muster/v1/ledger.pb.h"

namespace muster::coordinator::core {

// Milliseconds of every kind, by its number.
using KindMs = std::array<int64_t, v1::LedgerKind_ARRAYSIZE>;

struct Stretch {
  int64_t from_ms = 0;
  int64_t until_ms = 0;
  const Attempt* attempt = nullptr;  // that held slots; nullptr: none did
  const Attempt* failure = nullptr;  // whose it would not have been without; nullptr: none
  uint64_t steps_lost = 0;
  KindMs ms = {};  // sum to until_ms - from_ms
};

// Empty before the first placement. Points into the job.
std::vector<Stretch> StretchesOf(const Job& job, int64_t now_ms);

// The part in [since, until). Parts of neighbouring times add up to the part of both, exactly.
KindMs PartOf(const Stretch& stretch, int64_t since_ms, int64_t until_ms);

}  // namespace muster::coordinator::core
