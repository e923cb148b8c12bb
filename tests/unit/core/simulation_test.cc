// Random faults against the real core: ranks and workers die, streams break, messages are lost, the
// coordinator restarts, people submit, cancel and drain. After every input the invariants hold, and
// once the faults stop every job comes to its end. A failure names its seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "coordinator/core/cluster.h"
#include "spec/mesh.h"
#include "tests/unit/core/durable_view.h"
#include "tests/unit/core/fake_ranks.h"
#include "tests/unit/core/valid_job.h"

namespace muster::coordinator::core {
namespace {

constexpr uint64_t kSteps = 30;  // of every job
constexpr uint32_t kTightLimit = 3;
constexpr uint32_t kTightQuota = 2;
constexpr uint32_t kUrgentQuota = 3;

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), cluster_(std::make_unique<Cluster>(options_)) {
    now_ = absl::FromUnixSeconds(1000);
    for (int i = 1; i <= 4; ++i) workers_["n" + std::to_string(i)];
    Do(Start{"c0ffee42"});
    SetQueue research;
    research.request.mutable_queue()->set_name("research");
    research.request.mutable_queue()->set_weight(2);
    Ask(research);
    SetQuotas(kTightQuota, kUrgentQuota);
  }

  void RandomAct() {
    FakeWorker& worker = AnyWorker();
    const uint64_t dice = Below(100);
    if (dice < 40)
      Pass(absl::Milliseconds(100 * (1 + Below(5))));
    else if (dice < 50)
      Work(worker);
    else if (dice < 55)
      KillRank(worker);
    else if (dice < 60)
      Disconnect(worker);
    else if (dice < 63)
      KillWorker(worker, false);
    else if (dice < 66)
      KillWorker(worker, true);
    else if (dice < 68)
      RestartCoordinator();
    else if (dice < 76)
      Submit();
    else if (dice < 79)
      Cancel();
    else if (dice < 85)
      Control(AnyJob(), static_cast<v1::JobAction>(1 + Below(5)));
    else if (dice < 87)
      Scale();
    else if (dice < 89)
      PauseQueue(Below(2) == 0);
    else if (dice < 92)
      Admit(AnyName(), v1::NODE_ADMISSION_DRAINING);
    else if (dice < 95)
      Admit(AnyName(), v1::NODE_ADMISSION_OPEN);
    else if (dice < 97)
      Control(AnyJob(), v1::JOB_ACTION_SAVE);
    else
      Pass(absl::Seconds(Below(6)));
  }

  // No more faults: everybody is there, and everything must end.
  void Settle() {
    for (auto& [name, worker] : workers_) {
      worker.up = true;
      Admit(name, v1::NODE_ADMISSION_OPEN);
    }
    PauseQueue(false);
    SetQuotas(0,
              0);  // what may not be preempted waits for ever when its queue's quota is too small
    for (const auto& [id, job] : jobs_) {
      Control(id, v1::JOB_ACTION_RELEASE);
      Control(id, v1::JOB_ACTION_RESUME);
    }
    for (int i = 0; i < 4000 && Unfinished() > 0; ++i) {
      for (auto& [name, worker] : workers_) {
        if (worker.session.value() == 0) Connect(name, worker);
        Work(worker);
      }
      Pass(absl::Milliseconds(200));
    }
  }

  int Unfinished() const { return static_cast<int>(jobs_.size() - ends_.size()); }
  std::string View() const { return DurableView(*cluster_); }
  std::string Replayed() const { return ReplayedView(options_, records_); }
  const std::map<uint64_t, v1::JobState>& ends() const { return ends_; }
  const std::map<std::string, int>& kinds() const { return kinds_; }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  std::string AnyName() { return "n" + std::to_string(1 + Below(workers_.size())); }
  FakeWorker& AnyWorker() { return workers_.at(AnyName()); }

  Outcome Do(const Input& input) {
    const Outcome outcome = cluster_->Step(input, now_);
    for (const Reply& reply : outcome.replies) accepted_ = reply.status.ok();
    for (const v1::Record& record : outcome.records) {
      records_.push_back(record);
      CheckRecord(record);
    }
    for (const Command& command : outcome.commands) {
      if (const auto* send = std::get_if<SendToWorker>(&command)) {
        EXPECT_EQ(send->message.epoch(), epoch_);
        for (auto& [name, worker] : workers_) {
          if (worker.session == send->session) Obey(name, worker, send->message);
        }
      } else {
        for (auto& [name, worker] : workers_) {
          if (worker.session == std::get<CloseSession>(command).session) worker.session = {};
        }
      }
    }
    return outcome;
  }

  // What must hold for every record in the order of the journal.
  void CheckRecord(const v1::Record& record) {
    if (record.has_epoch_started()) {
      EXPECT_GT(record.epoch_started().epoch(), epoch_);
      epoch_ = record.epoch_started().epoch();
    } else if (record.has_attempt_started()) {
      const v1::AttemptStarted& started = record.attempt_started();
      EXPECT_EQ(live_.count(started.job_id()), 0u) << "a second live attempt of a job";
      EXPECT_EQ(ends_.count(started.job_id()), 0u) << "an ended job is started";
      EXPECT_EQ(started.attempt(), ++newest_[started.job_id()]);
      live_.insert(started.job_id());
      uint64_t ranks = 0;
      for (const v1::NodeShare& share : started.shares()) {
        EXPECT_EQ(share.first_rank(), ranks) << "a gang with a hole";
        ranks += share.ranks();
        EXPECT_EQ(closed_.count(share.node()), 0u) << share.node() << " takes no work";
      }
      CheckMayStart(started.job_id(), ranks);
      for (const v1::NodeShare& share : started.shares()) {
        for (const uint32_t slot : share.slots()) {
          EXPECT_TRUE(used_.emplace(std::pair(share.node(), slot), started.job_id()).second)
              << "slot " << slot << " of " << share.node() << " is given twice";
        }
      }
      CheckLimit();
    } else if (record.has_attempt_stopping()) {
      const v1::AttemptStopping& stopping = record.attempt_stopping();
      const v1::ScheduleSpec& schedule = jobs_.at(stopping.job_id()).spec.schedule();
      const bool preempted = stopping.outcome() == v1::ATTEMPT_OUTCOME_PREEMPTED;
      EXPECT_FALSE(preempted && schedule.has_preemptible() && !schedule.preemptible())
          << "job " << stopping.job_id() << " may not be preempted";
    } else if (record.has_node_admission_set()) {
      const v1::NodeAdmissionSet& set = record.node_admission_set();
      closed_.erase(set.node());
      if (set.admission() != v1::NODE_ADMISSION_OPEN) closed_.insert(set.node());
    } else if (record.has_attempt_ended()) {
      EXPECT_EQ(live_.erase(record.attempt_ended().job_id()), 1u);
      ++kinds_[v1::AttemptOutcome_Name(record.attempt_ended().outcome())];
      std::erase_if(used_, [&](const auto& entry) {
        return entry.second == record.attempt_ended().job_id();
      });
    } else if (record.has_commit_permitted()) {
      EXPECT_EQ(record.commit_permitted().attempt(), newest_[record.commit_permitted().job_id()]);
      EXPECT_EQ(live_.count(record.commit_permitted().job_id()), 1u);
    } else if (record.has_job_ended()) {
      EXPECT_TRUE(ends_.emplace(record.job_ended().job_id(), record.job_ended().state()).second)
          << "a final state is changed";
    } else if (record.has_job_submitted()) {
      KnownJob& job = jobs_[record.job_submitted().job_id()];
      job.spec = record.job_submitted().spec();
      job.array_id = record.job_submitted().array_id();
      job.held = job.spec.schedule().hold();
    } else if (record.has_job_held()) {
      jobs_.at(record.job_held().job_id()).held = record.job_held().held();
    } else if (record.has_job_suspended()) {
      jobs_.at(record.job_suspended().job_id()).suspended = record.job_suspended().suspended();
    } else if (record.has_job_scaled()) {
      *jobs_.at(record.job_scaled().job_id()).spec.mutable_mesh() = record.job_scaled().mesh();
    } else if (record.has_queue_set()) {
      paused_ = record.queue_set().queue().paused();
    }
  }

  // A queue never holds more than its limit.
  void CheckLimit() {
    uint64_t held = 0;
    for (const auto& [slot, job] : used_) {
      if (jobs_.at(job).spec.schedule().queue() == "tight") ++held;
    }
    EXPECT_LE(held, kTightLimit) << "queue tight holds more than its limit";
  }

  // What must hold when an attempt of the job starts.
  void CheckMayStart(uint64_t id, uint64_t ranks) {
    const KnownJob& job = jobs_.at(id);
    EXPECT_FALSE(job.held) << "job " << id << " starts while it is on hold";
    EXPECT_FALSE(job.suspended) << "job " << id << " starts while it is suspended";
    EXPECT_FALSE(paused_ && job.spec.schedule().queue() == "research") << "its queue is paused";
    EXPECT_EQ(ranks, spec::RankCount(job.spec)) << "job " << id << " has another mesh now";
    for (const v1::Dependency& after : job.spec.schedule().after()) {
      const uint64_t on = std::stoull(after.job());
      const bool ended = ends_.count(on) > 0;
      const bool met = after.when() == v1::AFTER_EVENT_STARTED ? newest_.count(on) > 0
                       : after.when() == v1::AFTER_EVENT_ENDED ? ended
                       : after.when() == v1::AFTER_EVENT_FAILED
                           ? ended && ends_.at(on) == v1::JOB_STATE_FAILED
                           : ended && ends_.at(on) == v1::JOB_STATE_SUCCEEDED;
      EXPECT_TRUE(met) << "job " << id << " starts too early: " << after.DebugString();
    }
    const uint32_t at_once = job.spec.schedule().array().at_once();
    if (at_once == 0) return;
    const auto same_array = [&](uint64_t other) {
      return jobs_.at(other).array_id == job.array_id;
    };
    EXPECT_LE(std::count_if(live_.begin(), live_.end(), same_array), at_once) << "of array";
  }

  void SetQuotas(uint32_t tight, uint32_t urgent) {
    SetQueue input;
    input.request.mutable_queue()->set_name("tight");
    input.request.mutable_queue()->set_weight(2);
    input.request.mutable_queue()->set_quota(tight);
    input.request.mutable_queue()->set_limit(kTightLimit);
    Ask(input);
    input.request.mutable_queue()->set_name("urgent");
    input.request.mutable_queue()->set_priority(5);
    input.request.mutable_queue()->set_quota(urgent);
    input.request.mutable_queue()->clear_limit();
    Ask(input);
  }

  void Obey(const std::string& name, FakeWorker& worker, const v1::CoordinatorMessage& message) {
    if (Below(4) == 0) return;  // lost with the process that should have handled it
    if (message.has_start()) {
      const v1::StartRanks& start = message.start();
      const auto [at, added] = worker.attempts.try_emplace({start.job_id(), start.attempt()});
      if (!added) return;
      EXPECT_EQ(start.share().node(), name);
      for (uint32_t i = 0; i < start.share().ranks(); ++i) {
        at->second.ranks.push_back(start.share().first_rank() + i);
      }
      v1::GangOrder gang;
      EXPECT_TRUE(gang.ParseFromString(start.gang()));
      if (gang.resume_size() > 0) at->second.first_step = gang.resume(0).step();
      at->second.step = at->second.first_step;
    } else if (message.has_save()) {
      const auto found = worker.attempts.find({message.save().job_id(), message.save().attempt()});
      if (found == worker.attempts.end()) return;
      EXPECT_GE(message.save().save(), found->second.save) << "an order was forgotten";
      found->second.save = message.save().save();
    } else if (message.has_stop()) {
      worker.attempts[{message.stop().job_id(), message.stop().attempt()}].killed = true;
    } else if (message.has_release()) {
      const Key key(message.release().job_id(), message.release().attempt());
      const auto found = worker.attempts.find(key);
      if (found == worker.attempts.end()) return;
      EXPECT_TRUE(Stopped(found->second)) << "an attempt with processes is released";
      worker.attempts.erase(found);
    }
  }

  void Say(const FakeWorker& worker, v1::WorkerMessage message) {
    if (worker.up && worker.session.value() != 0)
      Do(WorkerSaid{worker.session, std::move(message)});
  }

  void Beat(const FakeWorker& worker) {
    v1::WorkerMessage message;
    message.mutable_heartbeat();
    for (const auto& [key, attempt] : worker.attempts) {
      *message.mutable_heartbeat()->add_attempts() = ReportOf(key, attempt);
    }
    Say(worker, std::move(message));
  }

  void Connect(const std::string& name, FakeWorker& worker) {
    worker.session = SessionId(++last_session_);
    WorkerConnected input{worker.session, {}};
    input.hello.set_node(name);
    input.hello.set_slots(2);
    input.hello.set_incarnation(worker.incarnation);
    input.hello.set_highest_epoch(epoch_);
    for (const auto& [key, attempt] : worker.attempts) {
      *input.hello.add_attempts() = ReportOf(key, attempt);
    }
    Do(input);
  }

  void Pass(absl::Duration span) {
    for (const absl::Time end = now_ + span; now_ < end;) {
      now_ += absl::Milliseconds(100);
      for (auto& [name, worker] : workers_) {
        if (!worker.up) continue;
        const bool back = worker.session.value() == 0 && now_ >= worker.away_until;
        if (back && Below(8) == 0) Connect(name, worker);
        if (Below(4) == 0) Beat(worker);
      }
      TickNow();
    }
  }

  // A tick before WakeAt has no effect, and ticks soon have done all there is to do now.
  void TickNow() {
    const bool early = now_ < cluster_->WakeAt();
    const Outcome outcome = Do(Tick{});
    if (early) {
      EXPECT_TRUE(outcome.records.empty() && outcome.commands.empty() && outcome.events.empty())
          << "something was due that WakeAt did not tell";
    }
    for (int i = 0; i < 3 && cluster_->WakeAt() <= now_; ++i) Do(Tick{});
    EXPECT_GT(cluster_->WakeAt(), now_) << "the core never comes to rest";
  }

  // Training goes on; now and then rank 0 commits.
  void Work(FakeWorker& worker) {
    std::vector<v1::WorkerMessage> said;
    for (auto& [key, attempt] : worker.attempts) {
      if (!worker.up || Stopped(attempt) || attempt.ranks.empty()) continue;
      attempt.step += 1 + Below(5);
      if (attempt.step >= kSteps) attempt.finished = true;
      if (attempt.ranks[0] != 0) continue;
      v1::WorkerMessage request, done;
      request.mutable_commit_request()->set_job_id(key.first);
      request.mutable_commit_request()->set_attempt(key.second);
      request.mutable_commit_request()->mutable_checkpoint()->set_step(attempt.step);
      done.mutable_commit_done()->set_job_id(key.first);
      done.mutable_commit_done()->set_attempt(key.second);
      done.mutable_commit_done()->mutable_checkpoint()->set_step(attempt.step);
      said.push_back(request);
      if (Below(2) == 0) said.push_back(done);
    }
    for (v1::WorkerMessage& message : said) Say(worker, std::move(message));
  }

  void KillRank(FakeWorker& worker) {
    for (auto& [key, attempt] : worker.attempts) {
      if (Stopped(attempt) || attempt.ranks.empty()) continue;
      attempt.failed_rank = static_cast<int>(attempt.ranks[Below(attempt.ranks.size())]);
      break;
    }
    Beat(worker);
  }

  void Disconnect(FakeWorker& worker) {
    if (worker.session.value() == 0) return;
    const SessionId session = worker.session;
    worker.session = {};
    worker.away_until = now_ + absl::Seconds(Below(12));
    Do(WorkerDisconnected{session, "cut"});
  }

  // With the machine its ranks go too; without, the next life adopts them.
  void KillWorker(FakeWorker& worker, bool machine) {
    Disconnect(worker);
    ++worker.incarnation;
    if (machine) worker.attempts.clear();
    worker.up = Below(3) > 0;
    if (!worker.up && Below(2) == 0) worker.up = true;
  }

  void RestartCoordinator() {
    cluster_ = std::make_unique<Cluster>(options_);
    for (const v1::Record& record : records_) cluster_->Apply(record);
    for (auto& [name, worker] : workers_) worker.session = {};
    Do(Start{""});
  }

  void Submit() {
    SubmitJob input;
    v1::JobSpec* spec = input.request.mutable_spec();
    *spec = ValidJob("j" + std::to_string(Below(6)), static_cast<uint32_t>(1 + Below(6)), kSteps);
    v1::ScheduleSpec* schedule = spec->mutable_schedule();
    const std::string queues[] = {"research", "tight", "urgent", "", "", ""};
    schedule->set_queue(queues[Below(6)]);
    schedule->set_priority(static_cast<int32_t>(Below(3)));
    if (Below(5) == 0) schedule->set_preemptible(false);
    if (Below(3) == 0) {
      schedule->mutable_time_limit()->set_seconds(2 + static_cast<int64_t>(Below(30)));
    }
    if (Below(6) == 0) {
      spec->mutable_recovery()->set_hot_spares(1);
      spec->mutable_recovery()->set_lend_spares(Below(2) == 0);
    }
    schedule->set_hold(Below(10) == 0);
    if (Below(8) == 0) {
      schedule->mutable_array()->set_count(static_cast<uint32_t>(1 + Below(4)));
      schedule->mutable_array()->set_at_once(static_cast<uint32_t>(Below(3)));
    }
    for (uint64_t i = Below(4) == 0 ? 1 + Below(2) : 0; i > 0; --i) {
      v1::Dependency* after = schedule->add_after();
      after->set_job(std::to_string(AnyJob()));
      after->set_when(static_cast<v1::AfterEvent>(Below(5)));
    }
    Ask(input);
  }

  uint64_t AnyJob() { return 1 + Below(jobs_.size() + 1); }

  // Sends the request, and now and then its copy later: that must change nothing.
  template <typename Request>
  void Ask(Request input) {
    input.request.set_request_id("r" + std::to_string(++last_request_));
    const size_t before = records_.size();
    Do(input);
    if (accepted_ && Below(3) == 0) late_.push_back(input);
    for (size_t i = before; i < records_.size(); ++i) {
      ++kinds_["record " + std::to_string(records_[i].record_case())];
    }
    if (late_.empty() || Below(4) > 0) return;
    const Input copy = late_[Below(late_.size())];
    const size_t known = records_.size();
    Do(copy);
    for (size_t i = known; i < records_.size(); ++i) {
      EXPECT_FALSE(AskedByAPerson(records_[i])) << "a copy of a request acts:\n"
                                                << records_[i].DebugString();
    }
  }

  static bool AskedByAPerson(const v1::Record& record) {
    return record.has_job_submitted() || record.has_job_cancel_requested() ||
           record.has_job_held() || record.has_job_suspended() || record.has_job_requeued() ||
           record.has_job_scaled() || record.has_job_save_asked() || record.has_queue_set();
  }

  void Cancel() {
    CancelJob input;
    input.request.set_job_id(AnyJob());
    input.request.set_array(Below(4) == 0);
    Ask(input);
  }

  void Control(uint64_t job, v1::JobAction action) {
    ControlJob input;
    input.request.set_job_id(job);
    input.request.set_action(action);
    Ask(input);
  }

  void Scale() {
    ScaleJob input;
    input.request.set_job_id(AnyJob());
    v1::Axis* axis = input.request.add_mesh();
    axis->set_name("data");
    axis->set_size(static_cast<uint32_t>(1 + Below(6)));
    Ask(input);
  }

  void PauseQueue(bool paused) {
    core::PauseQueue input;
    input.request.set_name("research");
    input.request.set_paused(paused);
    Ask(input);
  }

  void Admit(const std::string& name, v1::NodeAdmission admission) {
    SetNodeAdmission input;
    input.request.set_node(name);
    input.request.set_admission(admission);
    Do(input);
  }

  std::mt19937_64 random_;
  Options options_;
  std::unique_ptr<Cluster> cluster_;
  absl::Time now_;
  std::map<std::string, FakeWorker> workers_;
  std::vector<v1::Record> records_;
  uint64_t last_session_ = 0;
  // What the journal says, kept apart from the core.
  uint64_t epoch_ = 0;
  std::map<uint64_t, uint64_t> newest_;
  std::set<uint64_t> live_;
  std::map<std::pair<std::string, uint32_t>, uint64_t> used_;
  std::map<uint64_t, v1::JobState> ends_;
  struct KnownJob {
    v1::JobSpec spec;
    uint64_t array_id = 0;
    bool held = false, suspended = false;
  };
  std::map<uint64_t, KnownJob> jobs_;
  bool paused_ = false;
  std::map<std::string, int> kinds_;
  // Requests that were accepted, and may arrive once more.
  bool accepted_ = false;
  uint64_t last_request_ = 0;
  std::vector<Input> late_;
  std::set<std::string> closed_;  // nodes that are not open
};

TEST(Simulation, InvariantsHoldAndEveryJobEnds) {
  std::map<v1::JobState, int> ends;
  std::map<std::string, int> kinds;
  // More lives by hand: tools/dev sim SEEDS.
  const char* asked = std::getenv("MUSTER_SIM_SEEDS");
  const uint64_t seeds = asked == nullptr ? 150 : std::strtoull(asked, nullptr, 10);
  ASSERT_GE(seeds, 100u) << "fewer lives do not reach every end of a job";
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed);
    for (int act = 0; act < 300; ++act) {
      world.RandomAct();
      if (act % 20 == 0) {
        ASSERT_EQ(world.View(), world.Replayed());
      }
      if (HasFailure()) return;
    }
    world.Settle();
    ASSERT_EQ(world.Unfinished(), 0) << "a job never ends:\n" << world.View();
    ASSERT_EQ(world.View(), world.Replayed());
    for (const auto& [job, state] : world.ends()) ++ends[state];
    for (const auto& [kind, count] : world.kinds()) kinds[kind] += count;
    if (HasFailure()) return;
  }
  // The faults reach every way a job can end.
  EXPECT_GT(ends[v1::JOB_STATE_SUCCEEDED], 100);
  EXPECT_GT(ends[v1::JOB_STATE_CANCELLED], 100);
  // And everything a person can ask for has an effect.
  for (const auto outcome :
       {v1::ATTEMPT_OUTCOME_SUSPENDED, v1::ATTEMPT_OUTCOME_REQUEUED, v1::ATTEMPT_OUTCOME_RESIZED,
        v1::ATTEMPT_OUTCOME_PREEMPTED, v1::ATTEMPT_OUTCOME_TIME_LIMIT}) {
    EXPECT_GT(kinds[v1::AttemptOutcome_Name(outcome)], 20) << outcome;
  }
  for (const auto record :
       {v1::Record::kJobHeld, v1::Record::kJobSuspended, v1::Record::kJobRequeued,
        v1::Record::kJobScaled, v1::Record::kJobSaveAsked}) {
    EXPECT_GT(kinds["record " + std::to_string(record)], 50) << record;
  }
}

}  // namespace
}  // namespace muster::coordinator::core
