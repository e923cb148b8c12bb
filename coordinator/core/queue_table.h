// The queues, by name: what each may use, and what it has used.
//
// Use is counted in slot-seconds that fade: what was used a half-life ago counts half. It grows
// with every slot a queue holds and depends on the times of records alone, so a replay gives the
// same number, bit for bit.
//
// Time: callers pass the time of a record, or now. Earlier than the last one counts as the same.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/queue.pb.h"

namespace muster::coordinator::core {

struct Queue {
  v1::QueueSpec spec;
  double usage_slot_seconds = 0;  // decayed, as of usage_unix_ms
  int64_t usage_unix_ms = 0;
  uint64_t slots_held = 0;                        // by live attempts
  std::map<std::string, uint64_t> slots_by_user;  // of those; nobody with 0
};

// "default" when the job does not say.
const std::string& QueueName(const v1::JobSpec& spec);

class QueueTable {
 public:
  // Begins with "default": priority 0, weight 1, no quota, no limit.
  explicit QueueTable(absl::Duration half_life);

  // nullptr when there is none.
  Queue* Find(const std::string& name);
  const Queue* Find(const std::string& name) const;
  // Creates the queue or replaces its spec; its use stays.
  void Set(const v1::QueueSpec& spec);

  // A job's attempt takes or gives back slots at that time. The queue exists, and Free gives back
  // no more than was taken: CHECK.
  void TakeSlots(const std::string& queue, const std::string& user, uint64_t slots,
                 int64_t unix_ms);
  void FreeSlots(const std::string& queue, const std::string& user, uint64_t slots,
                 int64_t unix_ms);

  // Decayed slot-seconds at that time, of what it holds now too.
  double UsageAt(const Queue& queue, int64_t unix_ms) const;

  const std::map<std::string, Queue>& all() const { return queues_; }
  std::string Names() const;  // "default, research"

 private:
  Queue& Charged(const std::string& name, int64_t unix_ms);

  absl::Duration half_life_;
  std::map<std::string, Queue> queues_;
};

}  // namespace muster::coordinator::core
