#include "coordinator/core/ledger_sum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace muster::coordinator::core {
namespace {

struct Slots {
  int64_t held = 0;  // in all
  int64_t used = 0;  // by ranks
};

Slots SlotsHeld(const Attempt& attempt, const NodeId* node) {
  Slots slots;
  for (int i = 0; i < attempt.facts.shares_size(); ++i) {
    const v1::NodeShare& share = attempt.facts.shares(i);
    if (node != nullptr && share.node() != node->value()) continue;
    slots.used += share.slots_size();
    slots.held += share.slots_size();
    const auto index = static_cast<size_t>(i);
    if (index < attempt.left_slots.size()) slots.held += attempt.left_slots[index];
  }
  return slots;
}

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1e3; }

double CostOf(int64_t slot_ms, const Price& price) {
  return Seconds(slot_ms) / 3600 * price.per_slot_hour;
}

int64_t Total(const KindMs& kinds) {
  int64_t total = 0;
  for (const int64_t ms : kinds) total += ms;
  return total;
}

bool Overlaps(const Stretch& stretch, const LedgerCut& cut) {
  return stretch.from_ms < cut.until_ms && cut.since_ms < stretch.until_ms;
}

}  // namespace

std::string CauseInShort(const Attempt& attempt) {
  const v1::FailureCause& cause = attempt.facts.cause();
  if (attempt.facts.outcome() == v1::ATTEMPT_OUTCOME_NODE_LOST) return "node lost";
  if (attempt.facts.hung()) return "ranks stood still";
  if (cause.signal() != 0) {
    const char* name = sigabbrev_np(cause.signal());
    return name == nullptr ? fmt::format("rank killed by signal {}", cause.signal())
                           : fmt::format("rank killed by SIG{}", name);
  }
  if (cause.exit_code() != 0) return fmt::format("rank exited {}", cause.exit_code());
  return cause.has_rank() ? "rank could not be started" : "ranks gone, nobody knows how";
}

void LedgerSum::Charge(const Job& job, const Attempt& failure, int64_t slot_ms) {
  Cause& cause = causes_[{failure.blame, CauseInShort(failure)}];
  cause.slot_ms += slot_ms;
  if (failure.facts.incident() != 0) {
    cause.incidents.insert({0, failure.facts.incident()});
  } else {
    cause.incidents.insert({job.id.value(), failure.facts.number()});
  }
}

void LedgerSum::Add(const Job& job, int64_t now_ms, const LedgerCut& cut) {
  bool any = false;
  const Attempt* held_by = nullptr;
  Slots slots;
  for (const Stretch& stretch : StretchesOf(job, now_ms)) {
    const bool lost_here =
        stretch.steps_lost > 0 && cut.since_ms <= stretch.from_ms && stretch.from_ms < cut.until_ms;
    if (!Overlaps(stretch, cut) && !lost_here) continue;
    if (stretch.attempt == nullptr) {
      if (cut.node != nullptr) continue;
      slots = {};
    } else if (stretch.attempt != held_by) {
      slots = SlotsHeld(*stretch.attempt, cut.node);
      held_by = stretch.attempt;
      if (slots.held > 0) ++attempts_;
    }
    if (cut.node != nullptr && slots.held == 0) continue;
    any = true;
    const KindMs part = PartOf(stretch, cut.since_ms, cut.until_ms);
    for (size_t kind = 0; kind < part.size(); ++kind) {
      wall_ms_[kind] += part[kind];
      slot_ms_[kind] += part[kind] * slots.used;
    }
    const int64_t wall = Total(part);
    slot_ms_[v1::LEDGER_KIND_IDLE] += wall * (slots.held - slots.used);
    if (lost_here) steps_recomputed_ += stretch.steps_lost;
    if (stretch.failure != nullptr) Charge(job, *stretch.failure, wall * slots.used);
  }
  for (const SpareSpan& span : job.spare_log.spans()) {
    if (cut.node != nullptr && span.node != *cut.node) continue;
    const int64_t end = job.ended() ? job.end_unix_ms : now_ms;
    const int64_t from = std::max(span.from_ms, cut.since_ms);
    const int64_t until = std::min({span.until_ms, cut.until_ms, end});
    if (until <= from) continue;
    any = true;
    slot_ms_[v1::LEDGER_KIND_IDLE] += (until - from) * static_cast<int64_t>(span.slots);
  }
  if (any) ++jobs_;
}

void LedgerSum::Add(const LedgerSum& other) {
  for (size_t kind = 0; kind < wall_ms_.size(); ++kind) {
    wall_ms_[kind] += other.wall_ms_[kind];
    slot_ms_[kind] += other.slot_ms_[kind];
  }
  steps_recomputed_ += other.steps_recomputed_;
  attempts_ += other.attempts_;
  jobs_ += other.jobs_;
  for (const auto& [key, cause] : other.causes_) {
    Cause& mine = causes_[key];
    mine.slot_ms += cause.slot_ms;
    mine.incidents.insert(cause.incidents.begin(), cause.incidents.end());
  }
}

void LedgerSum::Correct(const LedgerSum& before, const LedgerSum& after) {
  for (size_t kind = 0; kind < wall_ms_.size(); ++kind) {
    wall_ms_[kind] += after.wall_ms_[kind] - before.wall_ms_[kind];
    slot_ms_[kind] += after.slot_ms_[kind] - before.slot_ms_[kind];
  }
  steps_recomputed_ += after.steps_recomputed_ - before.steps_recomputed_;
  for (const auto& [key, cause] : after.causes_) causes_[key].slot_ms += cause.slot_ms;
  for (const auto& [key, cause] : before.causes_) causes_[key].slot_ms -= cause.slot_ms;
}

v1::Ledger LedgerSum::Say(const Price& price, bool full) const {
  v1::Ledger ledger;
  const int64_t slot_ms = Total(slot_ms_);
  ledger.set_wall_seconds(Seconds(Total(wall_ms_)));
  ledger.set_slot_seconds(Seconds(slot_ms));
  if (slot_ms > 0) {
    ledger.set_goodput(static_cast<double>(slot_ms_[v1::LEDGER_KIND_PRODUCTIVE]) /
                       static_cast<double>(slot_ms));
  }
  ledger.set_cost(CostOf(slot_ms, price));
  ledger.set_currency(price.currency);
  ledger.set_price_per_slot_hour(price.per_slot_hour);
  ledger.set_steps_recomputed(steps_recomputed_);
  ledger.set_attempts(attempts_);
  ledger.set_jobs(jobs_);
  if (!full) return ledger;
  for (size_t kind = 1; kind < wall_ms_.size(); ++kind) {
    v1::LedgerEntry* entry = ledger.add_entries();
    entry->set_kind(static_cast<v1::LedgerKind>(kind));
    entry->set_wall_seconds(Seconds(wall_ms_[kind]));
    entry->set_slot_seconds(Seconds(slot_ms_[kind]));
    entry->set_cost(CostOf(slot_ms_[kind], price));
  }
  std::vector<std::pair<CauseKey, const Cause*>> dearest;
  for (const auto& [key, cause] : causes_) dearest.emplace_back(key, &cause);
  std::stable_sort(dearest.begin(), dearest.end(), [](const auto& a, const auto& b) {
    return a.second->slot_ms > b.second->slot_ms;
  });
  for (const auto& [key, cause] : dearest) {
    v1::LedgerCause* said = ledger.add_causes();
    said->set_blame(key.first);
    said->set_cause(key.second);
    said->set_incidents(cause->incidents.size());
    said->set_slot_seconds(Seconds(cause->slot_ms));
    said->set_cost(CostOf(cause->slot_ms, price));
  }
  return ledger;
}

}  // namespace muster::coordinator::core
