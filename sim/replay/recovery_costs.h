// What each phase of a recovery costs: configs/recovery-costs.yaml, where every value says how it
// was measured or that it is assumed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "sim/agenda.h"
#include "sim/replay/fault.h"

namespace muster::sim::replay {

struct RecoveryCosts {
  Micros detect_rank_dies = 50 * kMilli;
  Micros detect_node_gone = 5240 * kMilli;
  Micros detect_hang = 60 * kSecond;
  Micros orders_all = 236 * kMilli;
  int64_t orders_nodes = 1875;
  Micros stop_kill = 30 * kMilli;
  Micros stop_graceful = 2 * kSecond;
  Micros start_spawn = 900 * kMilli;
  Micros start_program = 20 * kSecond;
  double bytes_per_node = 2.6e9;
  double write = 1.0e9;  // bytes per second, of a node
  double read = 0.9e9;
  double storage_total = 2e12;
  double copy = 9.4e9;
  Micros commit = 50 * kMilli;
  bool hidden = true;
  Micros interval = 0;  // 0 = Young/Daly
  Micros step = 5 * kSecond;
  Micros reboot = 3 * kMinute;
  Micros stock_timeout = 10 * kMinute;
  Micros stock_requeue = 158 * kSecond;
  Micros stock_interval = 30 * kMinute;

  Micros Detect(FaultKind kind) const;
  // An order to so many nodes, until all have it.
  Micros Tell(size_t nodes) const;
  // Shards of so many nodes, written and durable / read.
  Micros Write(size_t nodes) const;
  Micros Read(size_t nodes) const;
  Micros Copy() const;
  // Training stands still for one save.
  Micros Stall(size_t nodes) const { return hidden ? Copy() : Write(nodes); }
};

// The interval at which the time of saves and the steps lost to failures cost the same together as
// little as they can: sqrt(2 × stall × mean time between failures) (Young 1974; Daly 2006, first
// order). 0 when nothing fails.
Micros YoungDaly(Micros stall, Micros between_failures);

// Keys that the file does not name keep their defaults. Errors: kNotFound, kInvalidArgument as
// `file:line: …`.
absl::StatusOr<RecoveryCosts> ReadRecoveryCosts(const std::string& path);
absl::StatusOr<RecoveryCosts> ParseRecoveryCosts(const std::string& text, const std::string& name);

// "2.6GB", "0.9GB/s", "2TB/s": decimal units. Errors: kInvalidArgument.
absl::StatusOr<double> BytesFromText(const std::string& text, bool per_second);

}  // namespace muster::sim::replay
