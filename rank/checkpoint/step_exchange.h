// What the ranks of a program tell each other between steps, and what all of them conclude.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "rank/checkpoint/fill_report.h"
#include "rank/checkpoint/group.h"

namespace muster::rank {

struct StepReport {
  uint64_t step = 0;
  uint64_t state = 0;       // hash of the text saved with the step
  bool stop = false;        // told to
  uint64_t save = 0;        // SaveLink::WantedSave
  uint64_t written = 0;     // CheckpointSaver::WrittenStep
  bool time_is_up = false;  // SaveCadence::TimeIsUp; that of rank 0 counts
  FillReport fill;          // CheckpointSaver::ReportFill
  double seconds = 0;       // a step took, since the last exchange
};

struct StepSummary {
  bool stop = false;
  uint64_t save = 0;     // the largest
  bool written = false;  // every rank is through with its oldest save
  bool time_is_up = false;
  FillSummary fill;
  double seconds = 0;  // at the slowest rank
};

// Collective; the same result on every rank. Errors: kInvalidArgument, on every rank: they are not
// at the same step, or the text is not the same.
absl::StatusOr<StepSummary> ExchangeReports(Group& group, const StepReport& mine);

}  // namespace muster::rank
