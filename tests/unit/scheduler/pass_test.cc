// One case per rule of the pass, each with the reason it gives.
#include "coordinator/scheduler/pass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/scheduler/scene.h"

namespace muster::coordinator::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<uint64_t> Started(const Decisions& decisions) {
  std::vector<uint64_t> ids;
  for (const Start& start : decisions.starts) ids.push_back(start.job.value());
  return ids;
}

std::vector<uint64_t> Victims(const Decisions& decisions) {
  std::vector<uint64_t> ids;
  for (const Preemption& preemption : decisions.preemptions) {
    ids.push_back(preemption.victim.value());
  }
  return ids;
}

TEST(Order, PriorityThenAge) {
  Scene scene(1, 4);
  scene.Submit({.ranks = 1});
  scene.Submit({.ranks = 1, .priority = 5});
  scene.Submit({.ranks = 1, .priority = 5});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(2, 3, 1));
}

TEST(Order, RecoveringJobsGoFirst) {
  Scene scene(1, 4);
  const JobId failed = scene.Submit({.ranks = 4});
  scene.Pass();
  const JobId important = scene.Submit({.ranks = 4, .priority = 9});
  scene.jobs.at(failed).stopping = true;
  scene.jobs.at(failed).then = RunningJob::Then::kRecovers;
  scene.End(failed);
  const Decisions decisions = scene.Pass();
  ASSERT_THAT(Started(decisions), ElementsAre(failed.value()));
  EXPECT_THAT(decisions.starts[0].reason, HasSubstr("same nodes as attempt 1"));
  EXPECT_TRUE(scene.Waits(important));
  EXPECT_THAT(Victims(scene.Pass()), ElementsAre(failed.value()))
      << "once it runs, it can be taken";
}

TEST(Order, QueuePriorityThenShare) {
  Scene scene(1, 3);
  scene.Queue("a");
  scene.Queue("b");
  scene.Queue("high").set_priority(1);
  scene.usage(1) = 5000;
  scene.Submit({.queue = "a"});
  scene.Submit({.queue = "b"});
  scene.Submit({.queue = "high"});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(3, 2, 1));
}

TEST(Order, QueuesOfEqualShareTakeTurnsByWeight) {
  Scene scene(1, 6);
  scene.Queue("a").set_weight(2);
  scene.Queue("b");
  for (int i = 0; i < 6; ++i) scene.Submit({.queue = "a"});
  for (int i = 0; i < 6; ++i) scene.Submit({.queue = "b"});
  scene.Pass();
  const View view = scene.Look();
  EXPECT_EQ(view.queues[1].slots_held, 4u);
  EXPECT_EQ(view.queues[2].slots_held, 2u);
}

TEST(Order, EntitledJobsGoBeforeBorrowers) {
  Scene scene(1, 4);
  scene.Queue("owner").set_quota(4);
  scene.Queue("rich").set_priority(9);
  scene.Submit({.ranks = 4, .queue = "rich"});
  const JobId owner = scene.Submit({.ranks = 4, .queue = "owner"});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(owner.value()));
}

TEST(Hold, AHeldJobWaitsAndHoldsUpNobody) {
  Scene scene(1, 2);
  const JobId held = scene.Submit({.ranks = 2});
  const JobId next = scene.Submit({.ranks = 2});
  scene.jobs.at(held).hold = "waiting: held by ann";
  scene.jobs.at(held).hold_until = scene.now + absl::Seconds(7);
  const Decisions decisions = scene.Pass();
  EXPECT_THAT(Started(decisions), ElementsAre(next.value()));
  EXPECT_EQ(scene.Why(held), "waiting: held by ann");
  EXPECT_EQ(decisions.look_again, scene.now + absl::Seconds(7));
}

TEST(Hold, OneMayHoldUpAll) {
  Scene scene(1, 2);
  const JobId held = scene.Submit({});
  const JobId next = scene.Submit({.priority = 3});
  scene.jobs.at(held).hold = "waiting: 1 of 2 nodes not back";
  scene.jobs.at(held).holds_up_all = true;
  EXPECT_THAT(Started(scene.Pass()), IsEmpty());
  EXPECT_EQ(scene.Why(next), "waiting: 1 of 2 nodes not back");
}

TEST(Queue, APausedQueueStartsNothing) {
  Scene scene(1, 4);
  v1::QueueSpec& queue = scene.Queue("research");
  queue.set_paused(true);
  queue.set_paused_reason("maintenance");
  const JobId waits = scene.Submit({.queue = "research"});
  const JobId starts = scene.Submit({});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(starts.value()));
  EXPECT_EQ(scene.Why(waits), "waiting: queue research is paused (maintenance)");
  queue.set_paused(false);
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(waits.value()));
}

TEST(Queue, TheLimitIsHardAndKeepsTheOrder) {
  Scene scene(1, 16);
  scene.Queue("research").set_limit(8);
  scene.Submit({.ranks = 6, .queue = "research"});
  const JobId blocked = scene.Submit({.ranks = 4, .queue = "research"});
  const JobId small = scene.Submit({.ranks = 2, .queue = "research"});
  const JobId other = scene.Submit({.ranks = 2});
  EXPECT_THAT(Started(scene.Pass()), testing::UnorderedElementsAre(1, other.value()));
  EXPECT_EQ(scene.Why(blocked),
            "waiting: needs 4 slots, queue research holds 6 of its limit of 8 slots");
  EXPECT_EQ(scene.Why(small), "waiting: behind job 2, which waits for the limit of queue research");
}

TEST(Queue, AJobThatExceedsTheLimitByItselfHoldsUpNobody) {
  Scene scene(1, 16);
  scene.Queue("research").set_limit(8);
  scene.Submit({.ranks = 9, .queue = "research"});
  const JobId small = scene.Submit({.ranks = 2, .queue = "research"});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(small.value()));
}

TEST(Queue, TheLimitPerUserStopsOnlyThatUser) {
  Scene scene(1, 16);
  scene.Queue("research").set_user_limit(4);
  scene.Submit({.ranks = 4, .queue = "research", .user = "ann"});
  const JobId ann = scene.Submit({.ranks = 1, .queue = "research", .user = "ann"});
  const JobId bob = scene.Submit({.ranks = 2, .queue = "research", .user = "bob"});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(1, bob.value()));
  EXPECT_EQ(scene.Why(ann),
            "waiting: needs 1 slots, ann holds 4 of the 4 slots one user may hold in queue "
            "research");
}

TEST(Queue, WhatMayNotBePreemptedNeverBorrows) {
  Scene scene(1, 16);
  scene.Queue("owner").set_quota(8);
  scene.Queue("research").set_quota(4);
  const JobId firm = scene.Submit({.ranks = 6, .queue = "research", .preemptible = false});
  EXPECT_THAT(Started(scene.Pass()), IsEmpty());
  EXPECT_THAT(scene.Why(firm), HasSubstr("may not borrow"));
  scene.Queue("owner").set_quota(0);
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(firm.value())) << "no other queue has a quota";
}

TEST(Backfill, ALaterJobUsesSlotsThatNobodyIsPromised) {
  Scene scene(2, 4);
  scene.Submit({.ranks = 4, .limit = absl::Hours(1)});
  scene.Submit({.ranks = 2});
  scene.Pass();  // n1 full, 2 free on n2
  const JobId head = scene.Submit({.ranks = 4, .within = v1::DOMAIN_NODE});
  const JobId later = scene.Submit({.ranks = 2});
  const Decisions decisions = scene.Pass();
  EXPECT_THAT(Started(decisions), ElementsAre(later.value()));
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_EQ(decisions.waits[0].start_estimate, scene.now + absl::Hours(1));
  EXPECT_THAT(scene.Why(head), HasSubstr("starts when job 1 ends, in 1h 00m at most"));
}

TEST(Backfill, OnlyAJobThatEndsInTimeUsesPromisedSlots) {
  Scene scene(1, 4);
  scene.Submit({.ranks = 2, .limit = absl::Hours(1)});
  scene.Pass();
  scene.Submit({.ranks = 4});
  const JobId unlimited = scene.Submit({.ranks = 1});
  const JobId too_long = scene.Submit({.ranks = 1, .limit = absl::Hours(2)});
  const JobId in_time = scene.Submit({.ranks = 1, .limit = absl::Hours(1)});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(in_time.value()));
  EXPECT_THAT(scene.Why(unlimited), HasSubstr("kept for job 2"));
  EXPECT_THAT(scene.Why(too_long), HasSubstr("gets them in 1h 00m at most"));
}

TEST(Backfill, SlotsAreKeptWhereNoEndIsKnown) {
  Scene scene(1, 4);
  const JobId endless = scene.Submit({.ranks = 2});
  scene.Pass();
  const JobId head = scene.Submit({.ranks = 4});
  scene.Submit({.ranks = 1, .limit = absl::Seconds(1)});
  const Decisions decisions = scene.Pass();
  EXPECT_THAT(Started(decisions), IsEmpty());
  EXPECT_EQ(decisions.look_again, absl::InfiniteFuture());
  EXPECT_THAT(scene.Why(head), HasSubstr("starts when job 1 ends; no time limit says when"));
  scene.End(endless);
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(head.value()));
}

TEST(Backfill, AJobThatCanNeverFitKeepsNothing) {
  Scene scene(2, 4);
  scene.inventory.SetUsable(1, false, "drained (lemon)");
  const JobId large = scene.Submit({.ranks = 8});
  const JobId small = scene.Submit({.ranks = 4});
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(small.value()));
  EXPECT_THAT(scene.Why(large), HasSubstr("drained (lemon)"));
}

TEST(Backfill, ARecoveringJobKeepsItsSlotsWhileANodeIsAway) {
  Scene scene(2, 4);
  const JobId large = scene.Submit({.ranks = 8});
  scene.Pass();
  scene.inventory.SetUsable(1, false, "dead");
  scene.jobs.at(large).stopping = true;
  scene.jobs.at(large).then = RunningJob::Then::kRecovers;
  scene.End(large);
  scene.Submit({.ranks = 4});
  EXPECT_THAT(Started(scene.Pass()), IsEmpty());
  scene.inventory.SetUsable(1, true, "");
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(large.value()));
}

TEST(Backfill, NoFurtherThanItsDepth) {
  Scene scene(1, 4);
  scene.options.backfill_depth = 2;
  scene.options.reserved_heads = 1;
  scene.Submit({.ranks = 3, .limit = absl::Hours(1)});
  scene.Pass();
  for (int i = 0; i < 4; ++i) scene.Submit({.ranks = 4});
  const JobId fits = scene.Submit({.ranks = 1, .limit = absl::Seconds(1)});
  EXPECT_THAT(Started(scene.Pass()), IsEmpty());
  EXPECT_EQ(scene.Why(fits),
            "waiting: behind 3 jobs that wait, first job 2; a pass looks no further");
}

TEST(Preemption, ByPriorityInTheQueue) {
  Scene scene(1, 4);
  const JobId low = scene.Submit({.ranks = 4});
  scene.Pass();
  scene.now += absl::Seconds(12);
  const JobId high = scene.Submit({.ranks = 2, .priority = 10});
  Decisions decisions = scene.Pass();
  ASSERT_THAT(Victims(decisions), ElementsAre(low.value()));
  EXPECT_EQ(decisions.preemptions[0].reason,
            "preempted by job 2 (priority 10 over 0); loses 12.0 s × 4 slots");
  EXPECT_THAT(decisions.waits[0].reason,
              HasSubstr("job 1 is stopping and leaves 4 slots within 30.0 s"));
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty()) << "the slots are being vacated already";
  scene.End(low);
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(high.value()));
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty()) << "job 1 may not preempt back";
  EXPECT_TRUE(scene.Waits(low));
}

TEST(Preemption, NotByEqualPriorityAndNotWhatMayNotBe) {
  Scene scene(2, 4);
  scene.Submit({.ranks = 4, .priority = 3});
  scene.Submit({.ranks = 4, .preemptible = false});
  scene.Pass();
  scene.Submit({.ranks = 2, .priority = 3});
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty());
}

TEST(Preemption, TheLeastLossGoesAndNoMoreThanNeeded) {
  Scene scene(3, 4);
  for (int i = 0; i < 3; ++i) scene.Submit({.ranks = 4});
  scene.Pass();
  scene.now += absl::Minutes(10);
  scene.jobs.at(JobId(2)).committed_at = scene.now - absl::Seconds(5);
  scene.jobs.at(JobId(1)).committed_at = scene.now - absl::Seconds(60);
  scene.Submit({.ranks = 4, .priority = 1});
  EXPECT_THAT(Victims(scene.Pass()), ElementsAre(2));
}

TEST(Preemption, OnlyWhenTheJobThenFits) {
  Scene scene(2, 4);
  scene.Submit({.ranks = 4});
  scene.Submit({.ranks = 4, .preemptible = false});
  scene.Pass();
  scene.Submit({.ranks = 8, .priority = 1});
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty());
}

TEST(Preemption, NobodyIsStoppedForRoomThatComesAsSoonByItself) {
  Scene scene(2, 4);
  scene.Submit({.ranks = 4, .limit = absl::Seconds(20)});
  scene.Submit({.ranks = 4});
  scene.Pass();
  scene.Submit({.ranks = 4, .priority = 1});
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty());
}

TEST(Reclaim, AnEntitledJobTakesBackWhatIsBorrowed) {
  Scene scene(2, 4);
  scene.Queue("owner").set_quota(4);
  scene.Queue("borrower").set_quota(4);
  scene.Queue("borrower").set_priority(5);
  scene.Submit({.ranks = 4, .queue = "borrower", .priority = 1});
  const JobId borrowed = scene.Submit({.ranks = 4, .queue = "borrower"});
  scene.Pass();
  const JobId owner = scene.Submit({.ranks = 4, .queue = "owner"});
  const Decisions decisions = scene.Pass();
  ASSERT_THAT(Victims(decisions), ElementsAre(borrowed.value()));
  EXPECT_THAT(decisions.preemptions[0].reason,
              HasSubstr("queue owner takes back 4 slots of its quota"));
  scene.End(borrowed);
  EXPECT_THAT(Started(scene.Pass()), ElementsAre(owner.value()));
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty());
}

TEST(Reclaim, TwoJobsDoNotBothTakeTheSameQuota) {
  Scene scene(2, 4);
  scene.Queue("owner").set_quota(4);
  scene.Submit({.ranks = 4});
  scene.Submit({.ranks = 4});
  scene.Pass();
  scene.Submit({.ranks = 4, .queue = "owner"});
  scene.Submit({.ranks = 4, .queue = "owner"});
  EXPECT_EQ(scene.Pass().preemptions.size(), 1u);
}

TEST(Reclaim, UseWithinAQuotaIsSafeFromOtherQueues) {
  Scene scene(1, 4);
  scene.Queue("owner").set_quota(4);
  scene.Queue("prod").set_priority(9);
  scene.Queue("prod").set_quota(4);
  scene.Submit({.ranks = 4, .queue = "owner"});
  scene.Pass();
  scene.Submit({.ranks = 4, .queue = "prod", .priority = 9});
  EXPECT_THAT(Victims(scene.Pass()), IsEmpty());
}

TEST(Reclaim, AQueueOfHigherPriorityTakesBorrowedSlots) {
  Scene scene(1, 4);
  scene.Queue("prod").set_priority(9);
  const JobId low = scene.Submit({.ranks = 4});
  scene.Pass();
  scene.Submit({.ranks = 4, .queue = "prod"});
  const Decisions decisions = scene.Pass();
  ASSERT_THAT(Victims(decisions), ElementsAre(low.value()));
  EXPECT_THAT(decisions.preemptions[0].reason,
              HasSubstr("queue prod of priority 9 over queue default of 0"));
}

TEST(Explain, AJobThatStartsNextSaysSo) {
  Scene scene(1, 4);
  const JobId job = scene.Submit({.ranks = 4});
  EXPECT_EQ(scene.Why(job), "waiting: for the next pass, which starts it");
}

TEST(Forecast, SaysWhereAndWhen) {
  Scene scene(1, 4);
  scene.Submit({.ranks = 4, .limit = absl::Hours(1)});
  scene.Submit({.ranks = 4, .limit = absl::Hours(2)});
  const JobId last = scene.Submit({.ranks = 4});
  scene.Pass();
  const Forecast forecast = ForecastStart(scene.Look(), last);
  ASSERT_TRUE(forecast.start);
  EXPECT_EQ(forecast.at, scene.now + absl::Hours(3));
  EXPECT_EQ(forecast.start->shares[0].node(), "n1");
  EXPECT_THAT(forecast.wait.reason, HasSubstr("waiting: "));
}

TEST(Forecast, CannotTellWithoutTimeLimits) {
  Scene scene(1, 4);
  scene.Submit({.ranks = 4});
  scene.Pass();
  const Forecast forecast = ForecastStart(scene.Look(), scene.Submit({.ranks = 4}));
  EXPECT_FALSE(forecast.start);
}

// Takes the job out of the line: it waits for others.
void MakeLater(View& view, JobId job, std::vector<LaterJob::After> after) {
  const auto place = std::find_if(view.waiting.begin(), view.waiting.end(),
                                  [&](const WaitingJob& waiting) { return waiting.job == job; });
  view.later.push_back({*place, std::move(after)});
  view.waiting.erase(place);
}

TEST(Forecast, LetsTheJobsOfAnArrayInOneAfterAnother) {
  Scene scene(1, 4);
  std::vector<JobId> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.push_back(scene.Submit({.ranks = 1, .limit = absl::Hours(1)}));
    scene.jobs.at(jobs.back()).spec.mutable_schedule()->mutable_array()->set_at_once(1);
  }
  View view = scene.Look();
  for (WaitingJob& waiting : view.waiting) waiting.array = jobs[0];
  MakeLater(view, jobs[1], {});
  MakeLater(view, jobs[2], {});
  EXPECT_EQ(ForecastStart(view, jobs[0]).at, scene.now);
  EXPECT_EQ(ForecastStart(view, jobs[1]).at, scene.now + absl::Hours(1));
  EXPECT_EQ(ForecastStart(view, jobs[2]).at, scene.now + absl::Hours(2));
}

TEST(Forecast, StartsAfterWhatItWaitsFor) {
  Scene scene(1, 4);
  const JobId first = scene.Submit({.ranks = 1, .limit = absl::Hours(1)});
  const JobId next = scene.Submit({.ranks = 1, .limit = absl::Hours(1)});
  const auto at = [&](v1::AfterEvent when) {
    View view = scene.Look();
    MakeLater(view, next, {{first, when}});
    return ForecastStart(view, next).at;
  };
  EXPECT_EQ(at(v1::AFTER_EVENT_STARTED), scene.now);
  EXPECT_EQ(at(v1::AFTER_EVENT_SUCCEEDED), scene.now + absl::Hours(1));
  EXPECT_EQ(at(v1::AFTER_EVENT_ENDED), scene.now + absl::Hours(1));
  EXPECT_EQ(at(v1::AFTER_EVENT_FAILED), absl::InfiniteFuture());
}

TEST(Forecast, SaysHowFarItLooked) {
  Scene scene(1, 4);
  JobId last;
  for (int i = 0; i < 10; ++i) last = scene.Submit({.ranks = 4, .limit = absl::Hours(1)});
  scene.options.forecast_events = 12;
  Forecast forecast = ForecastStart(scene.Look(), last);
  EXPECT_FALSE(forecast.start);
  EXPECT_TRUE(forecast.gave_up);
  EXPECT_GE(forecast.looked_until, scene.now + absl::Hours(2));
  EXPECT_LT(forecast.looked_until, scene.now + absl::Hours(9));
  scene.options.forecast_events = 100;
  forecast = ForecastStart(scene.Look(), last);
  EXPECT_FALSE(forecast.gave_up);
  EXPECT_EQ(forecast.at, scene.now + absl::Hours(9));
  scene.options.forecast_work = 10;  // nodes looked at
  EXPECT_TRUE(ForecastStart(scene.Look(), last).gave_up);
}

}  // namespace
}  // namespace muster::coordinator::scheduler
