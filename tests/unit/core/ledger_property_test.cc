// Random histories, also impossible ones: whatever the records say, every millisecond of every job
// is in exactly one kind, and cuts by time, node, queue and user add up to the whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "coordinator/core/ledger_sum.h"
#include "coordinator/core/queue_table.h"

namespace muster::coordinator::core {
namespace {

constexpr uint64_t kHistories = 12'000;
constexpr v1::AttemptOutcome kOutcomes[] = {
    v1::ATTEMPT_OUTCOME_SUCCEEDED, v1::ATTEMPT_OUTCOME_RANK_FAILED, v1::ATTEMPT_OUTCOME_NODE_LOST,
    v1::ATTEMPT_OUTCOME_CANCELLED, v1::ATTEMPT_OUTCOME_DRAINED,     v1::ATTEMPT_OUTCOME_PREEMPTED,
    v1::ATTEMPT_OUTCOME_SUSPENDED, v1::ATTEMPT_OUTCOME_REQUEUED,    v1::ATTEMPT_OUTCOME_RESIZED,
    v1::ATTEMPT_OUTCOME_TIME_LIMIT};

int64_t Total(const KindMs& kinds) {
  int64_t total = 0;
  for (const int64_t ms : kinds) total += ms;
  return total;
}

class History {
 public:
  explicit History(uint64_t seed) : random_(seed) { Write(); }

  std::vector<Job> jobs;
  int64_t now = 0;
  std::set<NodeId> nodes;

  int64_t Below(int64_t n) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(std::max<int64_t>(1, n)));
  }
  bool Once(int64_t in) { return Below(in) == 0; }
  // Slots x time of a job by its records alone, and the wall time.
  static int64_t SlotMs(const Job& job, int64_t now);
  static int64_t WallMs(const Job& job, int64_t now) {
    if (job.attempts.empty()) return 0;
    const int64_t end = job.ended() ? job.end_unix_ms : now;
    return end - job.attempts.front().facts.start_unix_ms();
  }

 private:
  void Write();
  void AddJob(uint64_t id);
  void Place(Job& job, Attempt& attempt);
  // As measured, within reason or not.
  template <typename Message>
  void Measure(Message& to, int64_t span) {
    const auto first = static_cast<uint64_t>(Below(30));
    const auto part = [&] { return static_cast<double>(Below(span + span / 3 + 1)) / 1e3; };
    to.set_first_step(first);
    if (Once(6)) return;
    to.set_productive_seconds(part());
    if (Once(2)) to.set_straggler_seconds(part() / 4);
    if (Once(2)) to.set_checkpoint_seconds(part() / 4);
    if (Once(2)) to.set_load_seconds(part() / 4);
  }
  NodeId Node() {
    const NodeId node("n" + std::to_string(Below(6)));
    nodes.insert(node);
    return node;
  }

  std::mt19937_64 random_;
};

void History::Place(Job& job, Attempt& attempt) {
  std::set<NodeId> taken;
  for (int64_t i = 1 + Below(4); i > 0; --i) {  // fewer nodes: a smaller mesh
    const NodeId node = Node();
    if (!taken.insert(node).second) continue;
    v1::NodeShare* share = attempt.facts.add_shares();
    share->set_node(node.value());
    for (int64_t slot = 1 + Below(8); slot > 0; --slot) {
      share->add_slots(static_cast<uint32_t>(slot));
    }
    if (job.spec.resources().exclusive()) {
      attempt.left_slots.push_back(static_cast<uint32_t>(Below(8)));
    }
  }
}

void History::AddJob(uint64_t id) {
  Job& job = jobs.emplace_back();
  job.id = JobId(id);
  job.user = "user" + std::to_string(Below(3));
  job.spec.mutable_schedule()->set_queue(Once(2) ? "" : "queue" + std::to_string(Below(2)));
  job.spec.mutable_resources()->set_exclusive(Once(4));
  if (Once(4)) {
    job.spec.mutable_program();
  } else {
    job.spec.mutable_train();
  }
  if (Once(2)) job.committed_step = static_cast<uint64_t>(Below(40));
  int64_t at = 1'000'000 + Below(50'000);
  const int64_t attempts = Below(6);
  for (int64_t i = 0; i < attempts; ++i) {
    Attempt& attempt = job.attempts.emplace_back();
    v1::Attempt& facts = attempt.facts;
    facts.set_number(job.attempts.size());
    facts.set_start_unix_ms(at);
    Place(job, attempt);
    const int64_t span = Once(8) ? 0 : Below(20'000);
    const bool live = i + 1 == attempts && Once(2);
    if (!Once(3)) facts.set_running_unix_ms(at + Below(span + 100));
    if (!Once(3)) facts.set_first_step_unix_ms(at + Below(span + 1'000) - 200);
    if (!Once(3)) attempt.stop_unix_ms = at + Below(span + 1);
    facts.set_state(v1::ATTEMPT_STATE_RUNNING);
    if (attempt.stop_unix_ms != 0 || !live) {
      facts.set_outcome(kOutcomes[Below(static_cast<int64_t>(std::size(kOutcomes)))]);
    }
    if (Once(2)) facts.set_failed_since_unix_ms(at + Below(2 * span + 1'000) - 500);
    facts.set_hung(Once(3));
    Measure(facts, span);
    facts.set_last_step(facts.first_step() + static_cast<uint64_t>(Below(40)));
    facts.mutable_cause()->set_signal(static_cast<int>(Below(3)));
    if (live) {
      Measure(attempt.progress, span);
      attempt.progress.set_step(static_cast<uint64_t>(Below(60)));
      attempt.progress.set_updates(static_cast<uint64_t>(Below(3)));
      now = std::max(now, at + span);
      return;
    }
    facts.set_state(v1::ATTEMPT_STATE_ENDED);
    facts.set_end_unix_ms(at + span);
    at += span + (Once(2) ? 0 : Below(5'000));
  }
  // Spares stay while the job has attempts, whatever happens between them.
  if (attempts > 0 && Once(2)) {
    int64_t time = job.attempts.front().facts.start_unix_ms();
    const NodeId node = Node();
    for (int64_t i = Below(4); i >= 0 && time < at; --i) {
      job.spare_log.Set(node, static_cast<uint64_t>(Below(9)), time);  // lends some of them
      time += Below(6'000);
    }
    if (Once(2)) job.spare_log.End(node, std::max(time, at));
  }
  now = std::max(now, at);
  if (Once(2)) {
    job.end_state = v1::JOB_STATE_SUCCEEDED;
    job.end_unix_ms = at + (Once(2) ? 0 : Below(3'000));
    now = std::max(now, job.end_unix_ms);
  }
}

void History::Write() {
  for (uint64_t id = 1 + static_cast<uint64_t>(Below(3)); id > 0; --id) AddJob(id);
  now += Once(2) ? 0 : Below(10'000);
}

int64_t History::SlotMs(const Job& job, int64_t now) {
  int64_t sum = 0;
  for (const Attempt& attempt : job.attempts) {
    int64_t slots = 0;
    for (const v1::NodeShare& share : attempt.facts.shares()) slots += share.slots_size();
    for (const uint32_t left : attempt.left_slots) slots += left;
    const int64_t end = attempt.live() ? now : attempt.facts.end_unix_ms();
    sum += slots * (end - attempt.facts.start_unix_ms());
  }
  const int64_t job_end = job.ended() ? job.end_unix_ms : now;
  for (const SpareSpan& span : job.spare_log.spans()) {
    const int64_t end = std::min(span.until_ms, job_end);
    sum += static_cast<int64_t>(span.slots) * std::max<int64_t>(0, end - span.from_ms);
  }
  return sum;
}

void ExpectSame(const LedgerSum& whole, const LedgerSum& parts, bool wall, const char* what,
                uint64_t seed) {
  ASSERT_EQ(whole.slot_ms(), parts.slot_ms()) << what << ", seed " << seed;
  if (!wall) return;
  ASSERT_EQ(whole.wall_ms(), parts.wall_ms()) << what << ", seed " << seed;
  ASSERT_EQ(whole.Say({}, false).steps_recomputed(), parts.Say({}, false).steps_recomputed())
      << what << ", seed " << seed;
}

TEST(LedgerProperty, KindsSumToWallAndSlotTime) {
  uint64_t kinds_seen = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    const History history(seed);
    for (const Job& job : history.jobs) {
      LedgerSum sum;
      sum.Add(job, history.now, {});
      ASSERT_EQ(Total(sum.wall_ms()), History::WallMs(job, history.now)) << "seed " << seed;
      ASSERT_EQ(Total(sum.slot_ms()), History::SlotMs(job, history.now)) << "seed " << seed;
      for (size_t kind = 0; kind < sum.wall_ms().size(); ++kind) {
        ASSERT_GE(sum.wall_ms()[kind], 0) << "seed " << seed << ", kind " << kind;
        ASSERT_GE(sum.slot_ms()[kind], 0) << "seed " << seed << ", kind " << kind;
        if (sum.slot_ms()[kind] > 0) kinds_seen |= 1u << kind;
      }
      ASSERT_EQ(sum.slot_ms()[v1::LEDGER_KIND_WAITING], 0) << "seed " << seed;
    }
  }
  // Every kind but the one without slots occurs, so none of the above was empty.
  EXPECT_EQ(kinds_seen | 1u | 1u << v1::LEDGER_KIND_WAITING, (1u << v1::LedgerKind_ARRAYSIZE) - 1);
}

TEST(LedgerProperty, StretchesFollowOneAnother) {
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    const History history(seed);
    for (const Job& job : history.jobs) {
      const std::vector<Stretch> stretches = StretchesOf(job, history.now);
      int64_t at = job.attempts.empty() ? 0 : job.attempts.front().facts.start_unix_ms();
      for (const Stretch& stretch : stretches) {
        ASSERT_EQ(stretch.from_ms, at) << "seed " << seed;
        ASSERT_EQ(Total(stretch.ms), stretch.until_ms - stretch.from_ms) << "seed " << seed;
        at = stretch.until_ms;
      }
    }
  }
}

TEST(LedgerProperty, CutsInTimeAddUp) {
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    History history(seed);
    const int64_t a = 990'000 + history.Below(60'000);
    const int64_t c = a + history.Below(history.now - a + 10'000);
    const int64_t b = a + history.Below(c - a + 1);
    for (const Job& job : history.jobs) {
      LedgerSum whole, parts, all, pieces;
      whole.Add(job, history.now, {.since_ms = a, .until_ms = c});
      parts.Add(job, history.now, {.since_ms = a, .until_ms = b});
      parts.Add(job, history.now, {.since_ms = b, .until_ms = c});
      ExpectSame(whole, parts, true, "[a, b) + [b, c)", seed);
      for (const int64_t ms : parts.wall_ms()) ASSERT_GE(ms, 0) << "seed " << seed;
      all.Add(job, history.now, {});
      pieces.Add(job, history.now, {.until_ms = a});
      pieces.Add(job, history.now, {.since_ms = a, .until_ms = c});
      pieces.Add(job, history.now, {.since_ms = c});
      ExpectSame(all, pieces, true, "before a + [a, c) + from c", seed);
    }
  }
}

TEST(LedgerProperty, NodesQueuesAndUsersAddUp) {
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    const History history(seed);
    LedgerSum whole, by_node, by_queue, by_user;
    std::map<std::string, LedgerSum> queues, users;
    for (const Job& job : history.jobs) {
      whole.Add(job, history.now, {});
      queues[QueueName(job.spec)].Add(job, history.now, {});
      users[job.user].Add(job, history.now, {});
      for (const NodeId& node : history.nodes) by_node.Add(job, history.now, {.node = &node});
    }
    for (const auto& [name, sum] : queues) by_queue.Add(sum);
    for (const auto& [name, sum] : users) by_user.Add(sum);
    ExpectSame(whole, by_node, false, "nodes", seed);
    ExpectSame(whole, by_queue, true, "queues", seed);
    ExpectSame(whole, by_user, true, "users", seed);
    const v1::Ledger said = whole.Say({.per_slot_hour = 2, .currency = "USD"}, true);
    double slot_seconds = 0, causes = 0, lost = 0;
    for (const v1::LedgerEntry& entry : said.entries()) slot_seconds += entry.slot_seconds();
    for (const v1::LedgerCause& cause : said.causes()) causes += cause.slot_seconds();
    for (const v1::LedgerKind kind :
         {v1::LEDGER_KIND_DETECT, v1::LEDGER_KIND_HANG, v1::LEDGER_KIND_RESTART}) {
      lost += said.entries(kind - 1).slot_seconds();
    }
    ASSERT_NEAR(slot_seconds, said.slot_seconds(), 1e-6) << "seed " << seed;
    ASSERT_GE(causes, lost - 1e-6) << "seed " << seed;  // every repair has its cause
  }
}

}  // namespace
}  // namespace muster::coordinator::core
