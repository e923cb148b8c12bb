// A small cluster for tests of the pass: jobs come, passes are applied, time goes on, jobs end.
//
// It does by hand what the core does with decisions, and checks while doing so that they can be
// carried out: a slot is given to one job, a gang starts entirely, a victim runs.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/scheduler/inventory.h"
#include "coordinator/scheduler/order.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/place.h"
#include "coordinator/scheduler/preemption.h"

namespace muster::coordinator::scheduler {

struct Ask {
  uint32_t ranks = 1;
  uint32_t slots = 1;  // of each rank
  std::string queue = "default";
  int32_t priority = 0;
  absl::Duration limit = absl::InfiniteDuration();
  bool preemptible = true;
  std::string user = "ann";
  v1::Domain within = v1::DOMAIN_UNSPECIFIED;
  bool exclusive = false;
};

class Scene {
 public:
  Scene(uint32_t nodes, uint32_t slots) {
    for (uint32_t i = 1; i <= nodes; ++i) {
      NodeFacts facts;
      facts.name = NodeId("n" + std::to_string(i));
      facts.slots = slots;
      inventory.SetUsable(inventory.Set(facts), true, "");
    }
    Queue("default");
  }

  v1::QueueSpec& Queue(const std::string& name) {
    for (v1::QueueSpec& queue : queues_) {
      if (queue.name() == name) return queue;
    }
    queues_.emplace_back().set_name(name);
    queues_.back().set_weight(1);
    usage_.push_back(0);
    return queues_.back();
  }

  JobId Submit(const Ask& ask) {
    v1::JobSpec spec;
    v1::Axis* axis = spec.add_mesh();
    axis->set_name("data");
    axis->set_size(ask.ranks);
    axis->set_within(ask.within);
    spec.mutable_resources()->set_slots_per_rank(ask.slots);
    spec.mutable_resources()->set_exclusive(ask.exclusive);
    spec.mutable_schedule()->set_queue(ask.queue);
    spec.mutable_schedule()->set_priority(ask.priority);
    if (!ask.preemptible) spec.mutable_schedule()->set_preemptible(false);
    if (ask.limit != absl::InfiniteDuration()) {
      spec.mutable_schedule()->mutable_time_limit()->set_seconds(absl::ToInt64Seconds(ask.limit));
    }
    return Submit(spec, ask.user);
  }

  JobId Submit(const v1::JobSpec& spec, const std::string& user) {
    const JobId id(next_id_++);
    Job& job = jobs[id];
    job.spec = spec;
    job.shape = ShapeOf(job.spec);
    job.placement_class = PlacementClass(job.spec);
    job.user = user;
    Queue(spec.schedule().queue());
    while (queues_[job.queue].name() != spec.schedule().queue()) ++job.queue;
    return id;
  }

  View Look() const {
    View view;
    view.now = now;
    view.inventory = &inventory;
    view.options = options;
    std::map<std::pair<uint32_t, std::string>, uint64_t> users;
    for (size_t i = 0; i < queues_.size(); ++i) view.queues.push_back({&queues_[i], usage_[i], 0});
    for (const auto& [id, job] : jobs) {
      if (job.state == State::kWaiting) {
        WaitingJob& waiting = view.waiting.emplace_back();
        waiting.job = id;
        waiting.spec = &job.spec;
        waiting.shape = &job.shape;
        waiting.placement_class = &job.placement_class;
        waiting.queue = job.queue;
        waiting.user = &job.user;
        waiting.recovering = job.recovering;
        if (job.attempts > 0) waiting.previous = &job.shares;
        waiting.previous_attempt = job.attempts;
        waiting.hold = &job.hold;
        waiting.hold_until = job.hold_until;
        waiting.holds_up_all = job.holds_up_all;
      } else if (job.state == State::kRunning) {
        RunningJob& running = view.running.emplace_back();
        running.job = id;
        running.spec = &job.spec;
        running.queue = job.queue;
        running.user = &job.user;
        running.shares = &job.shares;
        running.slots = job.shape.slots();
        running.stopping = job.stopping;
        running.then = job.then;
        running.ends_by = job.ends_by <= now ? now + late_by : job.ends_by;
        running.committed_at = job.committed_at;
        view.queues[job.queue].slots_held += running.slots;
        users[{job.queue, job.user}] += running.slots;
      }
    }
    for (const auto& [key, held] : users) view.users.push_back({key.first, key.second, held});
    return view;
  }

  // Runs a pass and carries it out.
  Decisions Pass() {
    Decisions decisions = RunPass(Look());
    Apply(decisions);
    return decisions;
  }

  void Apply(const Decisions& decisions) {
    const View view = Look();
    for (const Preemption& preemption : decisions.preemptions) {
      Job& victim = jobs.at(preemption.victim);
      EXPECT_EQ(victim.state, State::kRunning) << preemption.reason;
      EXPECT_FALSE(victim.stopping) << preemption.reason;
      EXPECT_TRUE(!victim.spec.schedule().has_preemptible() || victim.spec.schedule().preemptible())
          << preemption.reason;
      victim.stopping = true;
      victim.then = RunningJob::Then::kWaits;
      victim.ends_by = now + options.preempt_grace;
      ++preempted;
    }
    for (const Start& start : decisions.starts) {
      Job& job = jobs.at(start.job);
      EXPECT_EQ(job.state, State::kWaiting) << start.reason;
      uint64_t slots = 0;
      uint32_t ranks = 0;
      for (const v1::NodeShare& share : start.shares) {
        EXPECT_TRUE(inventory.usable(inventory.Find(NodeId(share.node())))) << start.reason;
        EXPECT_EQ(share.first_rank(), ranks) << start.reason;
        ranks += share.ranks();
        slots += static_cast<uint64_t>(share.slots_size());
        inventory.Take(share, start.job, job.shape.exclusive);  // CHECKs that it is free
      }
      EXPECT_EQ(ranks, job.shape.ranks) << start.reason;
      EXPECT_EQ(slots, job.shape.slots()) << start.reason;
      job.state = State::kRunning;
      job.stopping = false;
      job.shares.Assign(start.shares.begin(), start.shares.end());
      job.ends_by = now + TimeLimitOf(job.spec);
      job.committed_at = now;
      job.started_at = now;
      job.attempts += 1;
    }
  }

  // The job's attempt is over.
  void End(JobId id) {
    Job& job = jobs.at(id);
    ASSERT_EQ(job.state, State::kRunning) << id.value();
    for (const v1::NodeShare& share : job.shares) inventory.Free(share, id, job.shape.exclusive);
    const bool again = job.stopping && job.then != RunningJob::Then::kEnds;
    job.state = again ? State::kWaiting : State::kEnded;
    job.recovering = again && job.then == RunningJob::Then::kRecovers;
    job.stopping = false;
    job.ends_by = absl::InfiniteFuture();
  }

  // To the time of the next end, or to `look_again`; false when nothing ends by itself.
  bool Advance(absl::Time look_again = absl::InfiniteFuture()) {
    if (!MoveTo(std::min(look_again, NextEnd()))) return false;
    for (auto& [id, job] : jobs) {
      if (job.state == State::kRunning && job.ends_by <= now) End(id);
    }
    return true;
  }

  // The same, but of those that end at one time it ends the first alone.
  bool AdvanceByOne(absl::Time look_again) {
    const absl::Time end = NextEnd();
    if (!MoveTo(std::min(look_again, end))) return false;
    if (end > now) return true;
    for (auto& [id, job] : jobs) {
      if (job.state != State::kRunning || job.ends_by > end) continue;
      End(id);
      return true;
    }
    return true;
  }

  absl::Time NextEnd() const {
    absl::Time next = absl::InfiniteFuture();
    for (const auto& [id, job] : jobs) {
      if (job.state == State::kRunning) next = std::min(next, job.ends_by);
    }
    return next;
  }

  bool MoveTo(absl::Time then) {
    if (then == absl::InfiniteFuture()) return false;
    then = std::max(then, now);
    const View before = Look();
    for (size_t i = 0; i < queues_.size(); ++i) {
      usage_[i] =
          UsageAfter(usage_[i], before.queues[i].slots_held, then - now, options.usage_half_life);
    }
    now = then;
    for (auto& [id, job] : jobs) {
      if (job.hold_until <= now) job.hold.clear();
    }
    return true;
  }

  bool Runs(JobId id) const { return jobs.at(id).state == State::kRunning; }
  bool Stops(JobId id) const { return Runs(id) && jobs.at(id).stopping; }
  bool Waits(JobId id) const { return jobs.at(id).state == State::kWaiting; }
  std::string Why(JobId id) const { return ExplainWait(Look(), id).reason; }
  double& usage(size_t queue) { return usage_[queue]; }

  enum class State { kWaiting, kRunning, kEnded };
  struct Job {
    v1::JobSpec spec;
    Shape shape;
    std::string placement_class;
    std::string user;
    uint32_t queue = 0;
    State state = State::kWaiting;
    bool recovering = false;
    bool stopping = false;
    RunningJob::Then then = RunningJob::Then::kEnds;
    std::string hold;
    absl::Time hold_until = absl::InfiniteFuture();
    bool holds_up_all = false;
    google::protobuf::RepeatedPtrField<v1::NodeShare> shares;  // of the newest attempt
    uint64_t attempts = 0;
    absl::Time ends_by = absl::InfiniteFuture();
    absl::Time committed_at, started_at;
  };

  Inventory inventory;
  PassOptions options;
  absl::Time now = absl::FromUnixSeconds(1'000'000);
  std::map<JobId, Job> jobs;
  uint64_t preempted = 0;
  absl::Duration late_by;  // one that is due counts as this late in a view

 private:
  std::deque<v1::QueueSpec> queues_;
  std::vector<double> usage_;
  uint64_t next_id_ = 1;
};

}  // namespace muster::coordinator::scheduler
