#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/clients.h"
#include "sim/coordinator_process.h"
#include "sim/faults.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/reasons.h"
#include "sim/storage.h"
#include "sim/training.h"

namespace muster::sim {
namespace {

constexpr Micros kReasonsEvery = 1 * kSecond;
// A report of a shim, a heartbeat and a record later everybody knows.
constexpr Micros kKnownWithin = 5 * kSecond;

}  // namespace

World::World(const Case& chosen, uint64_t seed_number, std::FILE* trace_to)
    : conf(chosen), seed(seed_number), dice(seed_number), trace(&agenda, trace_to) {
  storage = std::make_unique<Storage>();
  network = std::make_unique<Network>(this);
  clients = std::make_unique<Clients>(this);
  faults = std::make_unique<Faults>(this);
  coordinators.push_back(
      std::make_unique<CoordinatorProcess>(this, "coordA", std::make_unique<Disk>(&conf)));
  leader_ = coordinators.front().get();
  for (int64_t i = 0; i < conf.nodes; ++i) {
    nodes.push_back(std::make_unique<Node>(this, static_cast<size_t>(i)));
  }
  const bool restarts = conf.coordinator_crash + conf.coordinator_power + conf.coordinator_copy +
                            conf.disk_full + conf.disk_corrupt >
                        0;
  leader_->disk().kept = restarts || conf.coordinator_crash_in_step > 0 || conf.nodes <= 64;
}

World::~World() = default;

void World::Fail(std::string violation) {
  if (!violation_.empty()) return;
  violation_ = std::move(violation);
  if (trace.on()) trace.Say("VIOLATION", violation_);
}

void World::CountFault(const std::string& name) { ++totals.faults[name]; }

void World::CountEnd(v1::JobState state) { ++totals.ends[v1::JobState_Name(state).substr(10)]; }

void World::RunUntil(Micros until) {
  while (!failed() && !agenda.empty() && agenda.next_at() <= until) agenda.RunNext();
  if (!failed()) agenda.JumpTo(until);
}

void World::Run() {
  leader_->Boot();
  for (const auto& node : nodes) {
    agenda.After(dice.Between(0, kSecond), [&node] { node->PowerOn(); });
  }
  clients->Start();
  agenda.After(2 * kSecond, [this] { faults->Start(); });
  while (!failed() && agenda.now() < conf.duration) {
    RunUntil(std::min(conf.duration, agenda.now() + conf.clear_within / 5));
    CheckLeftovers();
  }
  if (!failed() && conf.settle > 0) Settle();
  if (!failed() && leader_->alive()) {
    if (std::string wrong = leader_->CheckReplay(); !wrong.empty()) Fail(std::move(wrong));
  }
  totals.seeds = 1;
  totals.events = agenda.events();
  totals.simulated = agenda.now();
}

void World::Settle() {
  faults_on = false;
  load_on = false;
  trace.Mark(600);
  if (trace.on()) trace.Say("world", "no more faults, no more load: everything must end");
  faults->HealAll();
  for (int64_t i = 0; i < conf.lost_nodes; ++i) nodes[static_cast<size_t>(i)]->PowerOff();
  // What was asked before is answered first: it may drain a node or hold a job.
  for (int i = 0; i < 120 && !failed() && !(clients->Idle() && leader_->settled()); ++i) {
    RunUntil(agenda.now() + kSecond);
  }
  clients->OpenEverything();
  const Micros deadline = agenda.now() + conf.settle;
  while (!failed() && agenda.now() < deadline) {
    RunUntil(agenda.now() + kSecond);
    CheckLeftovers();
    if (leader_->settled() && clients->Idle() && leader_->disk().view.unfinished() == 0) break;
  }
  if (failed()) return;
  const std::string rest = Unfinished();
  if (!rest.empty() && conf.Checks("ends")) return Fail("ends: " + rest);
  if (rest.empty() && conf.Checks("incidents")) {
    if (std::string wrong = leader_->disk().incidents.CheckAllOver(*leader_->cluster());
        !wrong.empty()) {
      return Fail(std::move(wrong));
    }
  }
  RunUntil(agenda.now() + conf.clear_within);
  CheckQuarantineEnds();
  if (failed() || !conf.Checks("leftovers")) return;
  // A worker that pauses may wake only now: from then on it has its time.
  const Micros last = agenda.now() + conf.settle;
  while (!failed() && !RanksLeft().empty() && agenda.now() < last) {
    RunUntil(agenda.now() + kSecond);
    CheckLeftovers();
  }
  if (const std::string left = RanksLeft(); !failed() && !left.empty()) {
    Fail("leftovers: every job has ended, and ranks of " + left);
  }
}

std::string World::RanksLeft() const {
  for (const auto& node : nodes) {
    for (const auto& [key, shim] : node->shims()) {
      if (!shim->HasRanks()) continue;
      return fmt::format("{} still run on {}", worker::core::AttemptName(key), node->name());
    }
  }
  return "";
}

// In calm every test is made, and only a person keeps a node from work for ever.
void World::CheckQuarantineEnds() {
  if (!conf.Checks("quarantine")) return;
  const auto kept = [this]() -> std::string {
    for (const auto& [name, node] : leader_->disk().view.nodes()) {
      const bool cooling = node.quarantine == v1::QUARANTINE_COOLING;
      const bool endless = cooling && node.by_person && node.until_unix_ms == 0;
      const bool tested = node.quarantine == v1::QUARANTINE_TESTING;
      if (!node.dead && ((cooling && !endless) || tested)) return name;
    }
    return "";
  };
  const Micros deadline = agenda.now() + 10 * conf.quarantine_cool_down + conf.clear_within;
  while (!failed() && !kept().empty() && agenda.now() < deadline) RunUntil(agenda.now() + kSecond);
  if (failed() || kept().empty()) return;
  Fail(fmt::format("quarantine: {} stays in it for ever", kept()));
}

std::string World::Unfinished() const {
  if (!leader_->alive()) return "the coordinator does not come back";
  const JournalView& view = leader_->disk().view;
  if (view.unfinished() == 0) return "";
  for (const auto& [id, job] : view.jobs()) {
    if (job.ended != 0) continue;
    v1::GetJobRequest request;
    request.set_job_id(id);
    const auto answer = leader_->cluster()->GetJob(request);
    return fmt::format("{} jobs do not end within {} s of calm; job {} is {}: {}",
                       view.unfinished(), conf.settle / kSecond, id,
                       answer.ok() ? v1::JobState_Name(answer->job().state()) : "unknown",
                       answer.ok() ? answer->job().reason() : "");
  }
  return "";
}

// Nothing of an attempt runs on for long once the attempt is over and its node in touch.
void World::CheckLeftovers() {
  if (failed() || !conf.Checks("leftovers")) return;
  if (!leader_->serving()) return leftover_since_.clear();
  const JournalView& view = leader_->disk().view;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto in_touch = nodes[i]->InTouchSince();
    for (const auto& [key, shim] : nodes[i]->shims()) {
      const JournalView::Key attempt(key.job.value(), key.attempt.value());
      const auto* facts = view.Attempt(attempt.first, attempt.second);
      const bool over = facts == nullptr || !facts->live();
      if (!in_touch || !over || !shim->HasRanks()) {
        leftover_since_.erase({i, attempt});
        continue;
      }
      const Micros since = leftover_since_.try_emplace({i, attempt}, agenda.now()).first->second;
      const Micros span = agenda.now() - std::max(since, *in_touch);
      if (span <= conf.clear_within) continue;
      return Fail(fmt::format("leftovers: ranks of {}.{} run on {} {} s after its end",
                              attempt.first, attempt.second, nodes[i]->name(), span / kSecond));
    }
  }
}

const Training* World::TrainingOf(uint64_t job, uint64_t attempt) const {
  for (auto at = trainings.lower_bound({job, 0}); at != trainings.end(); ++at) {
    if (at->first.first != job) break;
    if (at->second != nullptr && at->second->attempt() == attempt) return at->second.get();
  }
  return nullptr;
}

std::string World::WhyNotCaughtUp(const v1::Record& record) const {
  if (!record.has_attempt_milestone() || !record.attempt_milestone().caught_up() || forked()) {
    return "";
  }
  const v1::AttemptMilestone& reached = record.attempt_milestone();
  const Training* training = TrainingOf(reached.job_id(), reached.attempt());
  const JournalView::JobFacts* job = leader_->disk().view.Job(reached.job_id());
  if (training == nullptr || job == nullptr || training->StepNow() >= job->best_step) return "";
  return fmt::format(
      "incidents: attempt {} of job {} is said to have caught up, and is in step {} "
      "of {}",
      reached.attempt(), reached.job_id(), training->StepNow(), job->best_step);
}

// Of all nodes that hold some of it.
std::optional<Micros> World::InTouchSince(const std::vector<PlacedShare>& shares) const {
  Micros since = 0;
  for (const PlacedShare& share : shares) {
    const auto node = std::find_if(nodes.begin(), nodes.end(),
                                   [&share](const auto& one) { return one->name() == share.node; });
    const auto in_touch = (*node)->InTouchSince();
    if (!in_touch) return std::nullopt;
    since = std::max(since, *in_touch);
  }
  return since;
}

// Of a job that trains on beyond where it had stood, everybody hears that it is well.
void World::CheckIncidentsEnd() {
  const JournalView& view = leader_->disk().view;
  std::map<uint64_t, Micros> still;
  for (const auto& [id, incident] : leader_->disk().incidents.open()) {
    const JournalView::JobFacts* job = view.Job(id);
    if (job->live_attempt == 0 || view.Attempt(id, job->live_attempt)->stopping != 0) continue;
    const Training* training = TrainingOf(id, job->live_attempt);
    if (training == nullptr || !training->stepping() || training->StepNow() < job->best_step ||
        training->StepNow() == training->base()) {
      continue;
    }
    const auto in_touch = InTouchSince(view.Attempt(id, job->live_attempt)->shares);
    if (!in_touch) continue;
    const auto known = well_since_.find(id);
    const Micros since = known == well_since_.end() ? agenda.now() : known->second;
    still[id] = std::max(since, *in_touch);
    if (agenda.now() - still[id] <= kKnownWithin) continue;
    return Fail(
        fmt::format("incidents: job {} trains on beyond step {} for {} s, and incident {} "
                    "of it is open",
                    id, job->best_step, (agenda.now() - still[id]) / kSecond, incident));
  }
  well_since_ = std::move(still);
}

void World::AfterTick(CoordinatorProcess& coordinator) {
  if (agenda.now() < reasons_at_) return;
  reasons_at_ = agenda.now() + kReasonsEvery;
  if (conf.Checks("reasons")) {
    if (std::string wrong = CheckReasons(*coordinator.cluster()); !wrong.empty()) {
      return Fail(std::move(wrong));
    }
  }
  if (conf.Checks("incidents") && !forked()) CheckIncidentsEnd();
}

}  // namespace muster::sim
