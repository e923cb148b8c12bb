#include "coordinator/core/failure_rate.h"

#include <algorithm>
#include <cmath>

namespace muster::coordinator::core {
namespace {

constexpr double kMsPerHour = 3.6e6;
constexpr double kHalfLifeHours = 7 * 24;
constexpr double kPriorFailures = 1;
constexpr double kPriorPerNodeHour = 6.5 / (1000 * 24);
constexpr int64_t kTogetherMs = 10'000;

}  // namespace

void FailureRate::Advance(int64_t now_unix_ms, uint64_t nodes) {
  if (at_unix_ms_ == 0) at_unix_ms_ = now_unix_ms;
  if (now_unix_ms <= at_unix_ms_) return;
  const double hours = static_cast<double>(now_unix_ms - at_unix_ms_) / kMsPerHour;
  const double left = std::exp2(-hours / kHalfLifeHours);
  const double lifetime = kHalfLifeHours / std::log(2.0);
  failures_ *= left;
  node_hours_ = node_hours_ * left + static_cast<double>(nodes) * lifetime * (1 - left);
  at_unix_ms_ = now_unix_ms;
}

void FailureRate::Count(int64_t now_unix_ms) {
  const bool another = last_unix_ms_ == 0 || now_unix_ms - last_unix_ms_ > kTogetherMs;
  last_unix_ms_ = now_unix_ms;
  if (another) failures_ += 1;
}

double FailureRate::PerNodeHour() const {
  return (kPriorFailures + failures_) / (kPriorFailures / kPriorPerNodeHour + node_hours_);
}

double FailureRate::MtbfSeconds(uint64_t nodes) const {
  return 3600 / (PerNodeHour() * static_cast<double>(std::max<uint64_t>(1, nodes)));
}

double BestIntervalSeconds(double save_seconds, double mtbf_seconds) {
  if (save_seconds <= 0 || mtbf_seconds <= 0) return 0;
  if (save_seconds >= 2 * mtbf_seconds) return mtbf_seconds;
  const double part = save_seconds / (2 * mtbf_seconds);
  return std::sqrt(2 * save_seconds * mtbf_seconds) * (1 + std::sqrt(part) / 3 + part / 9) -
         save_seconds;
}

uint64_t BestIntervalSteps(double save_seconds, double mtbf_seconds, double step_seconds) {
  if (step_seconds <= 0) return 0;
  const double steps = std::round(BestIntervalSeconds(save_seconds, mtbf_seconds) / step_seconds);
  return static_cast<uint64_t>(std::clamp(steps, 1.0, 1e15));
}

uint32_t SparesFor(uint64_t nodes, double failures_per_node_hour, double repair_hours) {
  constexpr double kCovered = 0.99;
  constexpr double kLargeMean = 500;
  const double mean = static_cast<double>(nodes) * failures_per_node_hour * repair_hours;
  if (!(mean > 0)) return 0;
  if (mean > kLargeMean) {  // as a normal distribution: exp(-mean) would vanish
    return static_cast<uint32_t>(std::min(4e9, std::ceil(mean + 2.326 * std::sqrt(mean))));
  }
  double term = std::exp(-mean), sum = term;
  uint32_t spares = 0;
  while (sum < kCovered) {
    ++spares;
    term *= mean / spares;
    sum += term;
  }
  return spares;
}

}  // namespace muster::coordinator::core
