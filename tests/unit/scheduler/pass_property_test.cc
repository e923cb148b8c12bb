// What must hold in every pass, over random clusters, queues and loads. A failure names its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <regex>

#include "coordinator/scheduler/pass.h"
#include "tests/unit/scheduler/scene.h"

namespace muster::coordinator::scheduler {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(engine_() % bound); }
  uint32_t Between(uint32_t low, uint32_t high) { return low + Below(high - low + 1); }
  bool Chance(uint32_t percent) { return Below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

// MUSTER_PASS_SEEDS asks for more (or fewer) than a test run has time for.
uint64_t Seeds(uint64_t usual) {
  const char* chosen = std::getenv("MUSTER_PASS_SEEDS");
  return chosen == nullptr ? usual : std::strtoull(chosen, nullptr, 10);
}

const std::vector<std::string> kQueues = {"default", "prod", "research", "batch"};

Scene RandomScene(Dice& dice) {
  Scene scene(dice.Between(1, 8), dice.Between(1, 8));
  const uint32_t total = static_cast<uint32_t>(scene.inventory.slots_total());
  for (const std::string& name : kQueues) {
    v1::QueueSpec& queue = scene.Queue(name);
    queue.set_priority(static_cast<int32_t>(dice.Below(3)));
    queue.set_weight(dice.Between(1, 4));
    if (dice.Chance(50)) queue.set_quota(dice.Below(total / 2 + 1));
    if (dice.Chance(30)) queue.set_limit(dice.Between(1, total));
    if (dice.Chance(20)) queue.set_user_limit(dice.Between(1, total));
  }
  scene.options.reserved_heads = dice.Between(1, 8);
  return scene;
}

Ask RandomAsk(Dice& dice, const Scene& scene, uint32_t limited_percent) {
  const auto total = static_cast<uint32_t>(scene.inventory.slots_total());
  Ask ask;
  ask.slots = dice.Chance(70) ? 1 : dice.Between(1, scene.inventory.slots(0));
  ask.ranks = dice.Between(1, std::max(1u, (dice.Chance(20) ? total : total / 3) / ask.slots));
  ask.queue = kQueues[dice.Below(static_cast<uint32_t>(kQueues.size()))];
  ask.priority = static_cast<int32_t>(dice.Below(3));
  if (dice.Chance(limited_percent)) ask.limit = absl::Seconds(dice.Between(1, 300));
  ask.preemptible = !dice.Chance(15);
  ask.user = dice.Chance(50) ? "ann" : "bob";
  ask.exclusive = dice.Chance(10);
  return ask;
}

std::string Text(const Decisions& decisions) {
  std::string text;
  for (const Start& start : decisions.starts) {
    text += "start " + std::to_string(start.job.value()) + " " + start.reason + "\n";
    for (const v1::NodeShare& share : start.shares) text += share.ShortDebugString() + "\n";
  }
  for (const Preemption& preemption : decisions.preemptions) {
    text += "preempt " + std::to_string(preemption.victim.value()) + " " + preemption.reason + "\n";
  }
  for (const Wait& wait : decisions.waits) {
    text += "wait " + std::to_string(wait.job.value()) + " " + wait.reason + " " +
            absl::FormatTime(wait.start_estimate) + "\n";
    for (const std::string& line : wait.unblock) text += "  " + line + "\n";
  }
  return text + absl::FormatTime(decisions.look_again);
}

// Nobody holds more than the limits say.
void CheckLimits(const View& view) {
  for (const QueueView& queue : view.queues) {
    if (queue.spec->has_limit()) {
      EXPECT_LE(queue.slots_held, queue.spec->limit()) << queue.spec->name();
    }
  }
  for (const UserView& user : view.users) {
    const v1::QueueSpec& spec = *view.queues[user.queue].spec;
    if (spec.has_user_limit()) {
      EXPECT_LE(user.slots_held, spec.user_limit()) << user.user;
    }
  }
}

// A victim of another queue was beyond that queue's quota; of its own queue, of lower priority.
void CheckRights(const View& view, const Scene& scene, const Decisions& decisions) {
  for (const Preemption& preemption : decisions.preemptions) {
    const Scene::Job& victim = scene.jobs.at(preemption.victim);
    const Scene::Job& job = scene.jobs.at(preemption.for_job);
    if (victim.queue == job.queue) {
      EXPECT_LT(victim.spec.schedule().priority(), job.spec.schedule().priority())
          << preemption.reason;
    } else {
      const QueueView& queue = view.queues[victim.queue];
      uint64_t held = queue.slots_held;
      for (const Start& start : decisions.starts) {
        const Scene::Job& started = scene.jobs.at(start.job);
        held += started.queue == victim.queue ? started.shape.slots() : 0;
      }
      EXPECT_GT(held, queue.spec->quota()) << preemption.reason;
    }
  }
}

struct Preempted {
  uint64_t jobs = 0;
  uint64_t in_vain = 0;
};

// Once the victims are gone, those they went for start.
void CountPreemptors(Scene scene, const Decisions& decisions, Preempted& count) {
  if (decisions.preemptions.empty()) return;
  // By then those that may use its slots meanwhile have ended, too.
  scene.now += scene.options.preempt_grace;
  std::vector<JobId> gone;
  for (const auto& [id, job] : scene.jobs) {
    if (scene.Runs(id) && job.ends_by <= scene.now) gone.push_back(id);
  }
  for (const JobId id : gone) scene.End(id);
  scene.Pass();
  for (const Preemption& preemption : decisions.preemptions) {
    ++count.jobs;
    count.in_vain += scene.Runs(preemption.for_job) ? 0 : 1;
  }
}

uint64_t NumberIn(const std::string& text, const std::string& pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? std::stoull(match[1].str()) : 0;
}

// Every waiting job has a reason, and what it says of jobs and queues is so.
void CheckReasons(const Scene& scene) {
  const View view = scene.Look();
  for (const WaitingJob& waiting : view.waiting) {
    const Wait wait = ExplainWait(view, waiting.job);
    const std::string& reason = wait.reason;
    SCOPED_TRACE(reason);
    EXPECT_EQ(wait.job, waiting.job);
    EXPECT_EQ(reason.rfind("waiting: ", 0), 0u);
    EXPECT_GE(wait.start_estimate, view.now);
    if (const uint64_t job = NumberIn(reason, "starts when jobs? ([0-9]+)")) {
      EXPECT_TRUE(scene.Runs(JobId(job)) ||
                  scene.Why(JobId(job)).find("next pass") != std::string::npos);
    }
    if (const uint64_t job = NumberIn(reason, "jobs? ([0-9]+)[0-9a-z, ]* stopping")) {
      EXPECT_TRUE(scene.Stops(JobId(job)));
    }
    for (const std::string before : {"kept for job", "behind job", "first job"}) {
      if (const uint64_t job = NumberIn(reason, before + " ([0-9]+)")) {
        EXPECT_TRUE(scene.Waits(JobId(job)));
      }
    }
    const v1::QueueSpec& queue = *view.queues[waiting.queue].spec;
    if (reason.find("of its limit of") != std::string::npos) {
      EXPECT_EQ(NumberIn(reason, "holds ([0-9]+)"), view.queues[waiting.queue].slots_held);
      EXPECT_EQ(NumberIn(reason, "limit of ([0-9]+)"), queue.limit());
      EXPECT_EQ(NumberIn(reason, "needs ([0-9]+)"), waiting.shape->slots());
    }
  }
}

TEST(PassProperty, EveryPassKeepsTheRules) {
  Preempted preempted;
  for (uint64_t seed = 1; seed <= Seeds(60); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Scene scene = RandomScene(dice);
    for (int step = 0; step < 40; ++step) {
      for (uint32_t i = dice.Below(4); i > 0; --i) scene.Submit(RandomAsk(dice, scene, 50));
      if (dice.Chance(10)) {
        const NodeIndex node = dice.Below(static_cast<uint32_t>(scene.inventory.size()));
        scene.inventory.SetUsable(node, !scene.inventory.usable(node), "drained (test)");
      }
      const View view = scene.Look();
      const Decisions decisions = RunPass(view);
      EXPECT_EQ(Text(decisions), Text(RunPass(view)));
      CheckRights(view, scene, decisions);
      scene.Apply(decisions);
      CheckLimits(scene.Look());
      CountPreemptors(scene, decisions, preempted);
      CheckReasons(scene);
      if (HasFailure()) return;
      std::vector<JobId> running;
      for (const auto& [id, job] : scene.jobs) {
        if (scene.Runs(id)) running.push_back(id);
      }
      for (const JobId id : running) {
        if (!dice.Chance(15)) continue;
        if (!scene.Stops(id) && dice.Chance(40)) {  // it fails and recovers
          scene.jobs.at(id).stopping = true;
          scene.jobs.at(id).then = RunningJob::Then::kRecovers;
        }
        scene.End(id);
      }
      if (dice.Chance(50)) {
        scene.Advance(scene.now + absl::Seconds(dice.Between(1, 60)));
      }
    }
  }
  // What else ends meanwhile may change whose turn it is, hence not always.
  EXPECT_GT(preempted.jobs, 100u);
  EXPECT_LE(preempted.in_vain * 200, preempted.jobs) << "of " << preempted.jobs;
  std::cout << preempted.jobs << " preemptions, " << preempted.in_vain << " in vain\n";
}

// With a fixed set of jobs that never end, passes come to rest.
TEST(PassProperty, PreemptionNeverLoops) {
  uint64_t preempted = 0, most = 0;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Scene scene = RandomScene(dice);
    const uint32_t jobs = dice.Between(3, 25);
    uint64_t passes = 0;
    const auto settle = [&] {
      const uint64_t before = scene.preempted;
      for (uint64_t quiet = 0; quiet < 2; ++passes) {
        const Decisions decisions = scene.Pass();
        quiet = decisions.starts.empty() && decisions.preemptions.empty() ? quiet + 1 : 0;
        for (const auto& [id, job] : scene.jobs) {
          if (scene.Stops(id)) {
            scene.End(id);
            quiet = 0;
          }
        }
        scene.now += absl::Seconds(dice.Below(100));
        ASSERT_LT(passes, 1000u) << "passes do not come to rest";
      }
      most = std::max(most, scene.preempted - before);
    };
    for (uint32_t i = 0; i < jobs; ++i) {
      scene.Submit(RandomAsk(dice, scene, 0));
      if (dice.Chance(40)) settle();
      if (HasFatalFailure()) return;
    }
    settle();
    if (HasFatalFailure()) return;
    preempted += scene.preempted;
  }
  EXPECT_GT(preempted, 1000u) << "too few preemptions to prove anything";
  RecordProperty("preemptions", static_cast<int>(preempted));
  RecordProperty("most_in_one_settling", static_cast<int>(most));
}

// The foremost job that waits starts no later than it was ever told, whatever comes behind it.
TEST(PassProperty, BackfillNeverDelaysTheHead) {
  uint64_t backfilled = 0, promises = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Scene scene(dice.Between(2, 8), dice.Between(2, 8));
    scene.options.reserved_heads = dice.Between(1, 8);
    std::map<JobId, absl::Time> told;
    for (int step = 0; step < 60; ++step) {
      for (uint32_t i = dice.Below(4); i > 0; --i) {
        Ask ask = RandomAsk(dice, scene, 80);
        ask.queue = "default";
        ask.priority = 0;
        scene.Submit(ask);
      }
      const Decisions decisions = scene.Pass();
      if (!decisions.waits.empty()) {
        const Wait& head = decisions.waits.front();
        if (head.start_estimate != absl::InfiniteFuture()) {
          const auto [entry, fresh] = told.try_emplace(head.job, head.start_estimate);
          EXPECT_LE(head.start_estimate, entry->second) << "job " << head.job << " is put off";
          entry->second = std::min(entry->second, head.start_estimate);
          promises += fresh ? 1 : 0;
          // The same right after the pass, with what it started.
          EXPECT_LE(ExplainWait(scene.Look(), head.job).start_estimate, entry->second)
              << Text(decisions);
        }
        for (const Start& start : decisions.starts) backfilled += start.job > head.job ? 1 : 0;
      }
      for (const Start& start : decisions.starts) {
        if (told.count(start.job) > 0) {
          EXPECT_LE(scene.now, told.at(start.job)) << "job " << start.job << " started late";
        }
      }
      if (HasFailure()) return;
      // Some end before their limit.
      for (auto& [id, job] : scene.jobs) {
        if (scene.Runs(id) && dice.Chance(5)) job.ends_by = scene.now;
      }
      if (dice.Chance(70)) scene.Advance(scene.now + absl::Seconds(dice.Between(1, 60)));
    }
  }
  EXPECT_GT(backfilled, 500u);
  EXPECT_GT(promises, 500u);
}

// The forecast is what happens when jobs end at their limits and nobody else comes.
TEST(PassProperty, ForecastsComeTrue) {
  uint64_t told = 0, untold = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Scene scene = RandomScene(dice);
    scene.options.preempt_grace = absl::Seconds(dice.Between(1, 60));
    scene.late_by = scene.options.late_by;
    for (int round = 0; round < 5; ++round) {
      for (uint32_t i = dice.Between(1, 10); i > 0; --i) {
        scene.Submit(RandomAsk(dice, scene, 90));
      }
      scene.Pass();
      scene.Advance(scene.now + absl::Seconds(dice.Between(1, 30)));
    }
    const JobId asked = scene.Submit(RandomAsk(dice, scene, 90));
    const Forecast forecast = ForecastStart(scene.Look(), asked);
    for (int pass = 0; pass < 2000; ++pass) {
      const Decisions decisions = scene.Pass();
      if (!scene.Waits(asked)) break;
      // As the core does: after a decision the rest is asked again at once.
      if (!decisions.starts.empty() || !decisions.preemptions.empty()) continue;
      if (!scene.AdvanceByOne(decisions.look_again)) break;
    }
    if (!forecast.start) {
      EXPECT_TRUE(scene.Waits(asked));
      ++untold;
      continue;
    }
    ++told;
    ASSERT_TRUE(scene.Runs(asked));
    EXPECT_EQ(forecast.at, scene.now);
    const Scene::Job& job = scene.jobs.at(asked);
    ASSERT_EQ(forecast.start->shares.size(), static_cast<size_t>(job.shares.size()));
    for (int i = 0; i < job.shares.size(); ++i) {
      EXPECT_EQ(forecast.start->shares[static_cast<size_t>(i)].ShortDebugString(),
                job.shares[i].ShortDebugString());
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(told, 100u);
  EXPECT_GT(untold, 5u);
}

}  // namespace
}  // namespace muster::coordinator::scheduler
