// Every row of docs/operations/exit_codes.md.
#include "cli/exit_codes.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/session.h"

namespace muster::cli {
namespace {

TEST(ExitCodeOf, EveryCanonicalStatus) {
  const struct {
    absl::StatusCode status;
    int code;
  } rows[] = {{absl::StatusCode::kOk, 0},
              {absl::StatusCode::kCancelled, 1},
              {absl::StatusCode::kUnknown, 1},
              {absl::StatusCode::kInvalidArgument, 2},
              {absl::StatusCode::kDeadlineExceeded, 8},
              {absl::StatusCode::kNotFound, 3},
              {absl::StatusCode::kAlreadyExists, 5},
              {absl::StatusCode::kPermissionDenied, 4},
              {absl::StatusCode::kResourceExhausted, 7},
              {absl::StatusCode::kFailedPrecondition, 5},
              {absl::StatusCode::kAborted, 5},
              {absl::StatusCode::kOutOfRange, 1},
              {absl::StatusCode::kUnimplemented, 1},
              {absl::StatusCode::kInternal, 1},
              {absl::StatusCode::kUnavailable, 6},
              {absl::StatusCode::kDataLoss, 1},
              {absl::StatusCode::kUnauthenticated, 4}};
  for (const auto& row : rows) {
    const absl::Status status(row.status, "why");
    EXPECT_EQ(static_cast<int>(ExitCodeOf(status)), row.code) << status;
  }
}

TEST(ExitCodeOf, EveryEndOfAJob) {
  EXPECT_EQ(ExitCodeOf(v1::JOB_STATE_SUCCEEDED), kExitOk);
  EXPECT_EQ(ExitCodeOf(v1::JOB_STATE_FAILED), kExitError);
  EXPECT_EQ(ExitCodeOf(v1::JOB_STATE_CANCELLED), kExitError);
  for (int state = v1::JobState_MIN; state <= v1::JobState_MAX; ++state) {
    EXPECT_EQ(IsEnded(static_cast<v1::JobState>(state)),
              state >= v1::JOB_STATE_SUCCEEDED && state <= v1::JOB_STATE_CANCELLED);
  }
}

TEST(During, SaysWhatWasTriedOnce) {
  EXPECT_EQ(std::string(During("submit job \"x\"", absl::NotFoundError("no data")).message()),
            "submit job \"x\": no data");
  EXPECT_EQ(
      std::string(
          During("submit job \"x\"", absl::NotFoundError("submit job \"x\": no data")).message()),
      "submit job \"x\": no data");
}

}  // namespace
}  // namespace muster::cli
