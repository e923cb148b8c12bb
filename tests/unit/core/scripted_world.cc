#include "tests/unit/core/scripted_world.h"

#include <algorithm>
#include <variant>

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

constexpr uint32_t kSlots = 8;

std::string NameOf(uint64_t number) { return "n" + std::to_string(number); }

uint64_t SlotsOf(const Begun& begun) {
  uint64_t slots = 0;
  for (const v1::NodeShare& share : begun.shares) {
    slots += static_cast<uint64_t>(share.slots_size());
  }
  return slots;
}

}  // namespace

ScriptedWorld::ScriptedWorld(uint32_t nodes, absl::Time now) : now_(now) {
  options_.suspect_after = options_.dead_after = absl::Hours(100'000);  // no heartbeats here
  options_.events_kept = 16;
  cluster_ = std::make_unique<Cluster>(options_);
  Do(Start{"c0ffee42"});
  for (uint32_t number = 1; number <= nodes; ++number) Connect(number);
}

std::unique_ptr<ScriptedWorld> ScriptedWorld::Fork() const {
  std::unique_ptr<ScriptedWorld> twin(new ScriptedWorld);
  twin->options_ = options_;
  twin->cluster_ = std::make_unique<Cluster>(cluster_->Copy());
  twin->now_ = now_;
  twin->attempts_ = attempts_;
  twin->agenda_ = agenda_;
  twin->schedules_ = schedules_;
  twin->jobs_ = jobs_;
  return twin;
}

void ScriptedWorld::Connect(uint32_t number) {
  WorkerConnected input{SessionId(number), {}};
  input.hello.set_node(NameOf(number));
  input.hello.set_slots(kSlots);
  input.hello.set_incarnation(1);
  input.hello.mutable_location()->set_rack("r" + std::to_string((number - 1) / 8));
  input.hello.mutable_location()->set_pod("p" + std::to_string((number - 1) / 32));
  Do(input);
}

void ScriptedWorld::SetQueue(const v1::QueueSpec& queue) {
  core::SetQueue input;
  *input.request.mutable_queue() = queue;
  Do(input);
}

uint64_t ScriptedWorld::Submit(const v1::JobSpec& spec, const std::string& user) {
  SubmitJob input;
  input.request.set_user(user);
  *input.request.mutable_spec() = spec;
  const Outcome outcome = Do(input);
  CHECK(outcome.replies.size() == 1, "{} replies to a submission", outcome.replies.size());
  const Reply& reply = outcome.replies[0];
  CHECK(reply.status.ok(), "not submitted: {}", std::string(reply.status.message()));
  return std::get<v1::SubmitJobResponse>(reply.response).job().id();
}

void ScriptedWorld::Control(uint64_t job, v1::JobAction action) {
  ControlJob input;
  input.request.set_job_id(job);
  input.request.set_action(action);
  Do(input);
}

void ScriptedWorld::Cancel(uint64_t job) {
  CancelJob input;
  input.request.set_job_id(job);
  Do(input);
}

v1::PlanJobResponse ScriptedWorld::Plan(const v1::JobSpec& spec, const std::string& user) const {
  v1::PlanJobRequest request;
  request.set_user(user);
  *request.mutable_spec() = spec;
  const auto plan = cluster_->PlanJob(request);
  CHECK(plan.ok(), "no plan for {}: {}", spec.ShortDebugString(),
        std::string(plan.status().message()));
  return *plan;
}

bool ScriptedWorld::RunOnce(absl::Time end) {
  const absl::Time wake = std::max(now_, cluster_->WakeAt());
  const absl::Time ends = agenda_.empty() ? absl::InfiniteFuture() : agenda_.begin()->first;
  if (std::min(wake, ends) == absl::InfiniteFuture()) return false;
  if (std::min(wake, ends) > end) {
    now_ = std::max(now_, end);
    Do(Tick{});  // so that the core knows what time it is
    return false;
  }
  now_ = std::max(now_, std::min(wake, ends));
  if (ends <= wake) {
    End(agenda_.begin()->second);
  } else {
    Do(Tick{});
  }
  return true;
}

void ScriptedWorld::RunUntil(absl::Time end) {
  while (RunOnce(end)) {
  }
}

Outcome ScriptedWorld::Do(const Input& input) {
  Outcome first;
  bool is_first = true;
  const auto step = [&](const Input& what) {
    ++inputs_;
    Outcome outcome = cluster_->Step(what, now_);
    for (const v1::Record& record : outcome.records) {
      Note(record);
    }
    for (const Command& command : outcome.commands) {
      if (const auto* send = std::get_if<SendToWorker>(&command)) {
        Obey(send->session, send->message);
      }
    }
    if (is_first) first = std::move(outcome);
    is_first = false;
  };
  step(input);
  for (size_t i = 0; i < to_say_.size(); ++i) {  // answers may lead to more
    WorkerSaid said{to_say_[i].first, {}};
    *said.message.mutable_report() = to_say_[i].second;
    step(said);
  }
  to_say_.clear();
  return first;
}

void ScriptedWorld::Note(const v1::Record& record) {
  if (record.has_job_submitted()) {
    schedules_[record.job_submitted().job_id()] = record.job_submitted().spec().schedule();
    jobs_.insert(record.job_submitted().job_id());
  } else if (record.has_job_ended()) {
    jobs_.erase(record.job_ended().job_id());
  } else if (record.has_attempt_started()) {
    const v1::AttemptStarted& started = record.attempt_started();
    const Key key(started.job_id(), started.attempt());
    const Begun begun{now_,
                      {started.shares().begin(), started.shares().end()},
                      {started.spares().begin(), started.spares().end()}};
    if (key.second == 1) first_attempts_[key.first] = begun;
    slots_held_ += held_[key] = SlotsOf(begun);
    Local& local = attempts_[key];
    local.shares = begun.shares;
    const auto& limit = schedules_.at(key.first).time_limit();
    local.ends_at = absl::InfiniteFuture();
    if (limit.seconds() == 0 && limit.nanos() == 0) return;
    local.ends_at = now_ + absl::Seconds(limit.seconds()) + absl::Nanoseconds(limit.nanos());
    agenda_.emplace(local.ends_at, key);
  } else if (record.has_attempt_stopping()) {
    const v1::AttemptStopping& stopping = record.attempt_stopping();
    if (stopping.outcome() != v1::ATTEMPT_OUTCOME_PREEMPTED) return;
    ++preemptions_;
    const std::string& text = stopping.cause().text();  // "preempted by job 7 (…)"
    constexpr size_t kBefore = sizeof("preempted by job ") - 1;
    victims_[std::stoull(text.substr(kBefore))].push_back(stopping.job_id());
  } else if (record.has_attempt_ended()) {
    const auto held =
        held_.find({record.attempt_ended().job_id(), record.attempt_ended().attempt()});
    if (held == held_.end()) return;  // begun before a fork
    slots_held_ -= held->second;
    held_.erase(held);
  }
}

void ScriptedWorld::Obey(SessionId session, const v1::CoordinatorMessage& message) {
  if (message.has_start()) {
    const Key key(message.start().job_id(), message.start().attempt());
    to_say_.emplace_back(session, ReportOf(key, message.start().share(), false, false));
  } else if (message.has_stop()) {
    const Key key(message.stop().job_id(), message.stop().attempt());
    const auto found = attempts_.find(key);
    if (found == attempts_.end()) return;
    Local& local = found->second;
    const absl::Time end = now_ + absl::Milliseconds(message.stop().grace_ms());
    if (local.stopping && local.ends_at <= end) return;
    local.stopping = true;
    agenda_.erase({local.ends_at, key});
    local.ends_at = end;
    agenda_.emplace(local.ends_at, key);
  }
}

void ScriptedWorld::End(Key key) {
  const auto found = attempts_.find(key);
  const Local local = std::move(found->second);
  agenda_.erase({local.ends_at, key});
  attempts_.erase(found);
  for (const v1::NodeShare& share : local.shares) {
    WorkerSaid said{SessionId(std::stoull(share.node().substr(1))), {}};
    *said.message.mutable_report() = ReportOf(key, share, true, local.stopping);
    Do(said);
  }
}

v1::AttemptReport ScriptedWorld::ReportOf(const Key& key, const v1::NodeShare& share, bool stopped,
                                          bool by_us) const {
  v1::AttemptReport report;
  report.set_job_id(key.first);
  report.set_attempt(key.second);
  report.set_state(stopped ? v1::LOCAL_ATTEMPT_STATE_STOPPED : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  for (uint32_t i = 0; i < share.ranks(); ++i) {
    v1::RankReport* rank = report.add_ranks();
    rank->set_rank(share.first_rank() + i);
    rank->set_state(stopped ? v1::RANK_STATE_EXITED : v1::RANK_STATE_RUNNING);
    if (stopped && by_us) {
      rank->set_signal(15);
      rank->set_stopped_by_us(true);
    }
  }
  return report;
}

}  // namespace muster::coordinator::core
