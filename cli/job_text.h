// Jobs and events as text for people.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "cli/table.h"
#include "muster/v1/job_service.pb.h"

namespace muster::cli {

// "3m 20s" between two unix times in ms; "-" when either is 0.
std::string SinceText(int64_t from_unix_ms, int64_t to_unix_ms);

// UTC, "2026-01-31 12:00:05"; "-" for 0.
std::string TimeText(int64_t unix_ms);
std::string ClockText(int64_t unix_ms);  // "12:00:05"

std::string JobTable(const v1::ListJobsResponse& jobs, int64_t now_unix_ms, bool wide);

// All about one job, several lines.
std::string JobDescription(const v1::Job& job, int64_t now_unix_ms);

// One line: "12:00:05 checkpoint  step 40 committed".
std::string EventLine(const v1::JobEvent& event);

// "ranks 0-1 on n1, ranks 2-3 on n2". More than four nodes with as many ranks each and numbers in a
// row become one entry: "ranks 0-39 on n[1-5] (8 each)".
std::string PlacementText(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares);

// What happened from submit to end, for the end of a watch.
std::string JobSummary(const v1::Job& job);

}  // namespace muster::cli
