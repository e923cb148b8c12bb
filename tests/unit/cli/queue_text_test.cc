// Queues and plans as people read them.
#include "cli/queue_text.h"

#include <gtest/gtest.h>

#include "cli/plan_text.h"
#include "cli/proto_json.h"

namespace muster::cli {
namespace {

v1::Queue Research() {
  v1::Queue queue;
  queue.mutable_spec()->set_name("research");
  queue.mutable_spec()->set_weight(2);
  queue.mutable_spec()->set_priority(1);
  queue.mutable_spec()->set_quota(64);
  queue.mutable_spec()->set_limit(96);
  queue.set_slots_used(80);
  queue.set_slots_borrowed(16);
  queue.set_usage_slot_hours(123.44);
  queue.set_share(0.25);
  queue.set_jobs_waiting(2);
  queue.set_jobs_active(5);
  queue.set_head_reason("waiting: 16 slots over its limit");
  return queue;
}

TEST(QueueTable, OneLineAQueue) {
  v1::ListQueuesResponse queues;
  *queues.add_queues() = Research();
  v1::Queue* other = queues.add_queues();
  other->mutable_spec()->set_name("default");
  other->mutable_spec()->set_weight(0.5);
  other->mutable_spec()->set_paused(true);
  other->mutable_spec()->set_paused_reason("new\x1b disks");
  EXPECT_EQ(QueueTable(queues, false),
            "NAME      STATE   PRIORITY  WEIGHT  QUOTA  USED  BORROWED  WAITING  ACTIVE  SHARE   "
            "FIRST WAITS\n"
            "research  open    1         2       64     80    16        2        5       25.0 %  "
            "waiting: 16 slots over its limit\n"
            "default   paused  0         0.5     -      0     0         0        0       0.0 %   "
            "paused: new? disks\n");
  const std::string wide = QueueTable(queues, true);
  EXPECT_NE(wide.find("QUOTA  LIMIT  USER LIMIT  USED"), std::string::npos) << wide;
  EXPECT_NE(wide.find("64     96     -           80"), std::string::npos) << wide;
}

TEST(QueueDescription, SaysItsRulesAndUse) {
  v1::Queue queue = Research();
  queue.mutable_spec()->set_user_limit(16);
  EXPECT_EQ(QueueDescription(queue),
            "Queue:        research\n"
            "State:        open\n"
            "Rules:        weight 2, priority 1, quota 64, limit 96, at most 16 a user\n"
            "Slots:        80 used, 16 of them borrowed beyond the quota\n"
            "Use:          123.4 slot hours (older use counts less), 25.0 % of all by weight\n"
            "Jobs:         5 active, 2 waiting\n"
            "First waits:  waiting: 16 slots over its limit\n");
}

TEST(QueueJson, ALimitThatIsNotSaidIsNull) {
  const auto json = MessageJson(Research());
  EXPECT_EQ(json["spec"]["limit"], 96);
  EXPECT_TRUE(json["spec"]["user_limit"].is_null());
  v1::JobSpec spec;
  spec.mutable_schedule()->mutable_time_limit()->set_seconds(5400);
  EXPECT_EQ(MessageJson(spec)["schedule"]["time_limit"], "1h30m");
  EXPECT_TRUE(MessageJson(spec)["schedule"]["preemptible"].is_null());
  spec.mutable_schedule()->mutable_time_limit()->set_seconds(-1);
  EXPECT_TRUE(MessageJson(spec)["schedule"]["time_limit"].is_null());
}

TEST(PlanText, OfAJobThatWouldStart) {
  v1::PlanJobResponse plan;
  plan.set_fits_now(true);
  plan.set_reason("8 ranks on 2 nodes");
  for (uint32_t i = 0; i < 2; ++i) {
    v1::NodeShare* share = plan.add_shares();
    share->set_node("n" + std::to_string(i + 1));
    share->set_first_rank(4 * i);
    share->set_ranks(4);
  }
  plan.add_spares("n3");
  EXPECT_EQ(PlanText(plan, 0),
            "would start now: ranks 0-3 on n1, ranks 4-7 on n2\n"
            "  because  8 ranks on 2 nodes\n"
            "  spares   n3\n");
}

TEST(PlanText, OfAJobThatWouldWait) {
  v1::PlanJobResponse plan;
  plan.set_reason("waiting: 8 ranks, 4 free slots, until job 3 ends");
  plan.set_start_unix_ms(1'000'000 + 125 * 60'000);
  plan.add_unblock("4 more free slots");
  plan.add_preempts(3);
  plan.add_preempts(5);
  EXPECT_EQ(PlanText(plan, 1'000'000),
            "would wait: waiting: 8 ranks, 4 free slots, until job 3 ends\n"
            "  start    in about 2h 05m (1970-01-01 02:21:40 UTC)\n"
            "  preempts jobs 3,5; saved first, to go on later\n"
            "  unblock  4 more free slots\n");
  plan.clear_start_unix_ms();
  EXPECT_NE(PlanText(plan, 1'000'000).find("start    cannot be told"), std::string::npos);
}

}  // namespace
}  // namespace muster::cli
