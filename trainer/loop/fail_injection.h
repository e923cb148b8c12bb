// A rank that fails on purpose, for tests only: MUSTER_TEST_FAIL="rank=2,step=17,how=abort".
//
// how: exit1 (exit code 1), abort (SIGABRT), hang (never goes on). step is the number of the update
// that is not finished; with at=half_copied, at=copied or at=sealed it dies while it saves that
// step. attempt=N (optional) limits it to one attempt. Read once, in main.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/loop/background_save.h"

namespace muster::trainer::loop {

struct FailInjection {
  enum class How { kExit1, kAbort, kHang };

  int rank = 0;
  uint64_t step = 0;
  How how = How::kExit1;
  std::optional<uint64_t> attempt;
  std::optional<FillMoment> at = {};  // nullopt: in the update

  // Fails if now is the time.
  void MaybeFail(int rank_now, uint64_t step_now, uint64_t attempt_now,
                 std::optional<FillMoment> at_now = std::nullopt) const;
};

// Errors: kInvalidArgument: shows the form.
absl::StatusOr<FailInjection> ParseFailInjection(const std::string& text);

}  // namespace muster::trainer::loop
