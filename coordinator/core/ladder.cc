#include "coordinator/core/ladder.h"

#include <fmt/format.h>

namespace muster::coordinator::core {
namespace {

// Times `failures_max`: where losses of nodes end a job if machines do not explain them, and in any
// case.
constexpr uint32_t kLossesMany = 3;
constexpr uint32_t kLossesMost = 10;
constexpr double kLossesUnexplained = 10;  // so many for each that had to be expected

// What memory holds, only the ranks find out.
std::string FromText(const Situation& situation, const Repair& repair) {
  const bool memory = situation.memory && !repair.mark_bad && repair.rung != v1::RUNG_SHRINK;
  const bool start = repair.from_the_start || !situation.has_checkpoint;
  if (start && !memory) return "from the start";
  const uint64_t step = start ? 0 : repair.mark_bad ? situation.older_step : situation.newest_step;
  return fmt::format("from step {}{}", step, memory ? " or later" : "");
}

// Whom the next attempt does without.
std::string Without(const Situation& situation, const Repair& repair) {
  return situation.nodes_lost > 0 ? situation.lost
         : repair.without_accused ? situation.accused
                                  : "";
}

std::string PlaceText(const Situation& situation, const Repair& repair) {
  switch (repair.rung) {
    case v1::RUNG_REFORM:
      return "re-forming in place";
    case v1::RUNG_REPLACE:
      return fmt::format("replacing {} by {} and restarting", Without(situation, repair),
                         situation.nodes_lost > 1 ? "other nodes"
                         : situation.spare_ready  ? "a hot spare"
                                                  : "another node");
    case v1::RUNG_SHRINK:
      return fmt::format("no room for all without {}: restarting with data {} of {}",
                         Without(situation, repair), situation.smaller_data, situation.data_size);
    case v1::RUNG_STEP_BACK: {
      const std::string without = Without(situation, repair);
      return fmt::format("{} resumes from step {} failed: restarting{}", situation.failed_resumes,
                         situation.newest_step, without.empty() ? "" : " without " + without);
    }
    case v1::RUNG_REQUEUE:
      return fmt::format("no room without {}{}: waiting for it, to go on", situation.lost,
                         situation.data_min == 0
                             ? ""
                             : fmt::format(", even for data {}, its minimum", situation.data_min));
    case v1::RUNG_STOP:
      return situation.ranks_failed
                 ? fmt::format("giving up after {} without progress", situation.failures)
                 : fmt::format("giving up after {} losses of nodes without progress",
                               situation.losses);
    case v1::RUNG_RESTART:
    case v1::RUNG_UNSPECIFIED:
    case v1::Rung_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Rung_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return "restarting on the same nodes";
}

// The cheapest rung that gives the next attempt a place.
v1::Rung PlaceRung(const Situation& situation, bool* without_accused) {
  const bool lost = situation.nodes_lost > 0;
  const bool accused = !situation.accused.empty();
  if (!lost && !accused) {
    const bool first = situation.failures <= 1;
    return first && situation.can_reform ? v1::RUNG_REFORM : v1::RUNG_RESTART;
  }
  if (situation.room_for_all) {
    *without_accused = accused;
    return v1::RUNG_REPLACE;
  }
  // Nobody else there is: with the accused node rather than not at all, and rather than with less.
  if (accused && situation.room_with_accused) return lost ? v1::RUNG_REPLACE : v1::RUNG_RESTART;
  if (situation.smaller_data > 0) {
    *without_accused = accused;
    return v1::RUNG_SHRINK;
  }
  return v1::RUNG_REQUEUE;
}

}  // namespace

bool IsHopeless(const Situation& situation) {
  if (situation.ranks_failed && situation.failures >= situation.failures_max) return true;
  const uint64_t many = uint64_t{kLossesMany} * situation.failures_max;
  const uint64_t most = uint64_t{kLossesMost} * situation.failures_max;
  const bool unexplained = situation.losses >= kLossesUnexplained * situation.losses_expected;
  return situation.losses >= most || (situation.losses >= many && unexplained);
}

bool MarksNewestBad(const Situation& situation) {
  if (!situation.has_checkpoint || situation.failed_resumes < kFailedResumesMax) return false;
  return situation.has_older || situation.newest_step <= situation.save_every;
}

Repair ChooseRepair(const Situation& situation) {
  Repair repair;
  if (IsHopeless(situation)) {
    repair.rung = v1::RUNG_STOP;
    repair.reason = PlaceText(situation, repair);
    return repair;
  }
  repair.rung = PlaceRung(situation, &repair.without_accused);
  if (MarksNewestBad(situation)) {
    repair.mark_bad = true;
    repair.from_the_start = !situation.has_older;
    if (repair.rung != v1::RUNG_REQUEUE) repair.rung = v1::RUNG_STEP_BACK;
  }
  repair.reason = PlaceText(situation, repair) + " " + FromText(situation, repair);
  return repair;
}

v1::Rung RungOf(const Carried& carried) {
  if (!carried.after_failure) return v1::RUNG_UNSPECIFIED;
  if (carried.waited_for_room) return v1::RUNG_REQUEUE;
  if (carried.stepped_back) return v1::RUNG_STEP_BACK;
  if (carried.shorter) return v1::RUNG_SHRINK;
  return carried.other_nodes ? v1::RUNG_REPLACE : v1::RUNG_RESTART;
}

}  // namespace muster::coordinator::core
