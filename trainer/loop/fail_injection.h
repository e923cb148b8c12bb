// A rank that fails on purpose, for tests only: MUSTER_TEST_FAIL="rank=2,step=17,how=abort".
//
// how: exit1 (exit code 1), abort (SIGABRT), hang (never goes on), flip (goes on, with one bit of
// its weights wrong after the update). step is the number of the update that is not finished; with
// at=half_copied, at=copied or at=sealed it dies in the first save from that step on. attempt=N
// (optional) limits it to one attempt. Read once, in main.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "rank/checkpoint/background_save.h"

namespace muster::trainer::loop {

struct FailInjection {
  enum class How { kExit1, kAbort, kHang, kFlip };

  int rank = 0;
  uint64_t step = 0;
  How how = How::kExit1;
  std::optional<uint64_t> attempt;
  std::optional<rank::FillMoment> at = {};  // nullopt: in the update

  // Fails if now is the time, and it is no flip.
  void MaybeFail(int rank_now, uint64_t step_now, uint64_t attempt_now,
                 std::optional<rank::FillMoment> at_now = std::nullopt) const;
  // Flips a bit if now is the time for that.
  void MaybeFlip(int rank_now, uint64_t step_now, uint64_t attempt_now,
                 std::span<float> params) const;

 private:
  bool IsTime(int rank_now, uint64_t step_now, uint64_t attempt_now) const;
};

// Errors: kInvalidArgument: shows the form.
absl::StatusOr<FailInjection> ParseFailInjection(const std::string& text);

}  // namespace muster::trainer::loop
