#include "trainer/loop/fail_injection.h"

#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "common/status.h"

namespace muster::trainer::loop {

void FailInjection::MaybeFail(int rank_now, uint64_t step_now, uint64_t attempt_now,
                              std::optional<rank::FillMoment> at_now) const {
  if (how == How::kFlip || at_now != at || !IsTime(rank_now, step_now, attempt_now)) return;
  std::fprintf(stderr, "muster-train: MUSTER_TEST_FAIL: rank %d fails in step %llu\n", rank_now,
               static_cast<unsigned long long>(step_now));
  std::fflush(stderr);
  switch (how) {
    case How::kExit1:
      std::_Exit(1);  // a test's crash: nothing is cleaned up
    case How::kAbort:
      std::abort();
    case How::kHang:
      while (true) pause();
    case How::kFlip:
      return;
  }
}

void FailInjection::MaybeFlip(int rank_now, uint64_t step_now, uint64_t attempt_now,
                              std::span<float> params) const {
  if (how != How::kFlip || !IsTime(rank_now, step_now, attempt_now)) return;
  float& value = params[params.size() / 2];
  value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) ^ 1u);
}

bool FailInjection::IsTime(int rank_now, uint64_t step_now, uint64_t attempt_now) const {
  const bool now = at.has_value() ? step_now >= step : step_now == step;
  if (rank_now != rank || !now) return false;
  return !attempt.has_value() || attempt_now == *attempt;
}

absl::StatusOr<FailInjection> ParseFailInjection(const std::string& text) {
  absl::Status bad = InvalidArgument(
      "MUSTER_TEST_FAIL=\"{}\": must look like "
      "rank=2,step=17,how=exit1|abort|hang|flip[,attempt=1][,at=half_copied|copied|sealed]",
      text);
  FailInjection result;
  std::stringstream parts(text);
  std::string part;
  int seen = 0;
  while (std::getline(parts, part, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos) return bad;
    const std::string key = part.substr(0, equals);
    const std::string value = part.substr(equals + 1);
    char* end = nullptr;
    const unsigned long long number = std::strtoull(value.c_str(), &end, 10);
    const bool is_number = !value.empty() && *end == '\0';
    if (key == "how") {
      if (value == "exit1") {
        result.how = FailInjection::How::kExit1;
      } else if (value == "abort") {
        result.how = FailInjection::How::kAbort;
      } else if (value == "hang") {
        result.how = FailInjection::How::kHang;
      } else if (value == "flip") {
        result.how = FailInjection::How::kFlip;
      } else {
        return bad;
      }
      seen |= 1;
    } else if (key == "at") {
      if (value == "half_copied") {
        result.at = rank::FillMoment::kHalfCopied;
      } else if (value == "copied") {
        result.at = rank::FillMoment::kCopied;
      } else if (value == "sealed") {
        result.at = rank::FillMoment::kSealed;
      } else {
        return bad;
      }
    } else if (key == "rank" && is_number) {
      result.rank = static_cast<int>(number);
      seen |= 2;
    } else if (key == "step" && is_number) {
      result.step = number;
      seen |= 4;
    } else if (key == "attempt" && is_number) {
      result.attempt = number;
    } else {
      return bad;
    }
  }
  if (seen != 7) return bad;
  return result;
}

}  // namespace muster::trainer::loop
