// What the scheduler would do with a job, as text for people.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job_service.pb.h"

namespace muster::cli {

// Several lines: where and why, or when, why not now and what would help.
std::string PlanText(const v1::PlanJobResponse& plan, int64_t now_unix_ms);

// "in about 2h 05m (2026-01-31 12:00:05 UTC)".
std::string StartText(int64_t start_unix_ms, int64_t now_unix_ms);

}  // namespace muster::cli
