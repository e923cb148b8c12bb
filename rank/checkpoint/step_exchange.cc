#include "rank/checkpoint/step_exchange.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "common/check.h"
#include "common/status.h"

namespace muster::rank {
namespace {

// As it travels: ranks of one program are of one build.
struct Packed {
  uint64_t step, state, save, written, sealed;
  double seconds, fill_seconds;
  uint8_t stop, time_is_up, ready, filling;
  uint32_t padding = 0;
};

Packed Pack(const StepReport& report) {
  return {report.step,
          report.state,
          report.save,
          report.written,
          report.fill.sealed,
          report.seconds,
          report.fill.seconds,
          report.stop ? uint8_t{1} : uint8_t{0},
          report.time_is_up ? uint8_t{1} : uint8_t{0},
          report.fill.ready ? uint8_t{1} : uint8_t{0},
          report.fill.filling ? uint8_t{1} : uint8_t{0}};
}

}  // namespace

absl::StatusOr<StepSummary> ExchangeReports(Group& group, const StepReport& mine) {
  const Packed packed = Pack(mine);
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group.AllGatherBytes(std::as_bytes(std::span(&packed, 1))));
  StepSummary summary;
  Packed first{};
  for (size_t r = 0; r < all.size(); ++r) {
    Packed one{};
    CHECK(all[r].size() == sizeof(one), "a report of {} bytes from rank {}", all[r].size(), r);
    std::memcpy(&one, all[r].data(), sizeof(one));
    if (r == 0) {
      first = one;
      summary.written = summary.fill.ready = true;
      summary.time_is_up = one.time_is_up != 0;
      summary.fill.sealed = one.sealed;
    }
    if (one.step != first.step) {
      return InvalidArgument("rank 0 is at step {}, rank {} at step {}; steps are made together",
                             first.step, r, one.step);
    }
    if (one.state != first.state) {
      return InvalidArgument(
          "step {}: the state text of rank {} is not that of rank 0; give the "
          "same on every rank",
          first.step, r);
    }
    summary.stop = summary.stop || one.stop != 0;
    summary.save = std::max(summary.save, one.save);
    summary.written = summary.written && one.written != 0;
    summary.seconds = std::max(summary.seconds, one.seconds);
    summary.fill.ready = summary.fill.ready && one.ready != 0;
    summary.fill.filling = summary.fill.filling || one.filling != 0;
    summary.fill.seconds = std::max(summary.fill.seconds, one.fill_seconds);
    if (one.sealed != first.sealed) summary.fill.sealed = 0;
  }
  return summary;
}

}  // namespace muster::rank
