#include "coordinator/core/queue_table.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"

namespace muster::coordinator::core {

const std::string& QueueName(const v1::JobSpec& spec) {
  static const std::string kDefault = "default";
  return spec.schedule().queue().empty() ? kDefault : spec.schedule().queue();
}

QueueTable::QueueTable(absl::Duration half_life) : half_life_(half_life) {
  CHECK(half_life > absl::ZeroDuration(), "the use of queues must have a half-life");
  v1::QueueSpec spec;
  spec.set_name("default");
  spec.set_weight(1);
  Set(spec);
}

Queue* QueueTable::Find(const std::string& name) {
  const auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second;
}

const Queue* QueueTable::Find(const std::string& name) const {
  const auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second;
}

void QueueTable::Set(const v1::QueueSpec& spec) { queues_[spec.name()].spec = spec; }

void QueueTable::TakeSlots(const std::string& queue, const std::string& user, uint64_t slots,
                           int64_t unix_ms) {
  Queue& charged = Charged(queue, unix_ms);
  charged.slots_held += slots;
  charged.slots_by_user[user] += slots;
}

void QueueTable::FreeSlots(const std::string& queue, const std::string& user, uint64_t slots,
                           int64_t unix_ms) {
  Queue& charged = Charged(queue, unix_ms);
  const auto held = charged.slots_by_user.find(user);
  CHECK(held != charged.slots_by_user.end() && held->second >= slots && charged.slots_held >= slots,
        "{} slots are given back to queue {}, more than user \"{}\" took", slots, queue, user);
  charged.slots_held -= slots;
  held->second -= slots;
  if (held->second == 0) charged.slots_by_user.erase(held);
}

// A slot held for d adds the integral of 2^(-t / half-life) over d.
double QueueTable::UsageAt(const Queue& queue, int64_t unix_ms) const {
  const double span_s =
      static_cast<double>(std::max<int64_t>(0, unix_ms - queue.usage_unix_ms)) / 1e3;
  const double half_life_s = absl::ToDoubleSeconds(half_life_);
  const double kept = std::exp2(-span_s / half_life_s);
  return queue.usage_slot_seconds * kept +
         static_cast<double>(queue.slots_held) * half_life_s / std::log(2.0) * (1.0 - kept);
}

std::string QueueTable::Names() const {
  std::string names;
  for (const auto& [name, queue] : queues_) names += (names.empty() ? "" : ", ") + name;
  return names;
}

Queue& QueueTable::Charged(const std::string& name, int64_t unix_ms) {
  Queue* queue = Find(name);
  CHECK(queue != nullptr, "slots are taken from queue {}, which was never set", name);
  queue->usage_slot_seconds = UsageAt(*queue, unix_ms);
  queue->usage_unix_ms = std::max(queue->usage_unix_ms, unix_ms);
  return *queue;
}

}  // namespace muster::coordinator::core
