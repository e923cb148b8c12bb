#include "sim/coordinator_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "sim/clients.h"
#include "sim/network.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

namespace core = coordinator::core;

constexpr int64_t kWallStart = 1'700'000'000;
constexpr Micros kStall = 1 * kSecond;        // as the daemon's event loop
constexpr Micros kAfterStall = 500 * kMilli;  // no worker is judged for so long after one
constexpr Micros kTickSoon = 1 * kMilli;

absl::Duration Span(Micros span) { return absl::Microseconds(span); }

v1::Job Durable(v1::Job job) {
  job.clear_progress();
  job.clear_ranks();
  job.clear_ledger();
  job.clear_unblock();
  job.clear_start_estimate_unix_ms();
  if (job.end_unix_ms() == 0) job.clear_reason();
  for (v1::Attempt& attempt : *job.mutable_attempts()) {
    if (attempt.state() == v1::ATTEMPT_STATE_ENDED) continue;
    if (attempt.first_step_unix_ms() == 0) {
      attempt.clear_first_step();
      attempt.clear_from_memory();
    }
    attempt.clear_last_step();
    attempt.clear_productive_seconds();
    attempt.clear_checkpoint_seconds();
    attempt.clear_load_seconds();
    attempt.clear_straggler_seconds();
  }
  return job;
}

// The part of an incident that its jobs' state says.
v1::Incident Durable(v1::Incident incident) {
  incident.clear_state();
  incident.clear_text();
  incident.clear_slot_seconds_lost();
  for (v1::IncidentJob& job : *incident.mutable_jobs()) {
    if (job.state() != v1::INCIDENT_STATE_OPEN && job.state() != v1::INCIDENT_STATE_WAITING) {
      continue;
    }
    job.clear_state();
    job.clear_waiting_for();
    job.clear_seconds();
  }
  return incident;
}

v1::Node Durable(v1::Node node) {
  if (node.state() != v1::NODE_STATE_DEAD) {
    node.clear_state();
    node.clear_reason();
  }
  node.clear_last_heard_unix_ms();
  node.clear_failure_score();
  return node;
}

std::string IncidentsText(const core::Cluster& cluster) {
  std::string text;
  v1::ListIncidentsRequest incidents;
  incidents.set_page_size(1000);
  do {
    const auto page = cluster.ListIncidents(incidents);
    if (!page.ok()) return text + std::string(page.status().message());
    for (const v1::Incident& listed : page->incidents()) {
      v1::GetIncidentRequest one;
      one.set_incident_id(listed.id());
      text += Durable(cluster.GetIncident(one)->incident()).ShortDebugString() + "\n";
    }
    incidents.set_page_token(page->next_page_token());
  } while (!incidents.page_token().empty());
  return text;
}

}  // namespace

std::string DurableText(const core::Cluster& cluster) {
  std::string text = fmt::format("cluster {} epoch {} revision {}\n", cluster.cluster_id(),
                                 cluster.epoch().value(), cluster.revision());
  v1::ListJobsRequest jobs;
  jobs.set_full(true);
  jobs.set_page_size(1000);
  do {
    const auto page = cluster.ListJobs(jobs);
    if (!page.ok()) return text + std::string(page.status().message());
    for (const v1::Job& job : page->jobs()) text += Durable(job).ShortDebugString() + "\n";
    jobs.set_page_token(page->next_page_token());
  } while (!jobs.page_token().empty());
  v1::ListNodesRequest nodes;
  do {
    const auto page = cluster.ListNodes(nodes);
    if (!page.ok()) return text + std::string(page.status().message());
    for (const v1::Node& node : page->nodes()) text += Durable(node).ShortDebugString() + "\n";
    nodes.set_page_token(page->next_page_token());
  } while (!nodes.page_token().empty());
  return text + IncidentsText(cluster);
}

CoordinatorProcess::CoordinatorProcess(World* world, std::string name, std::unique_ptr<Disk> disk)
    : world_(world), name_(std::move(name)), disk_(std::move(disk)) {}

core::Options CoordinatorProcess::Options() const {
  const Case& conf = world_->conf;
  core::Options options;
  options.heartbeat_interval = Span(conf.heartbeat);
  options.suspect_after = Span(conf.suspect_after);
  options.dead_after = Span(conf.dead_after);
  options.reconnect_grace = Span(conf.reconnect_grace);
  options.stop_grace = Span(conf.stop_grace);
  options.drain_grace = Span(conf.drain_grace);
  options.quarantine.share = conf.quarantine_share;
  options.quarantine.cool_down = Span(conf.quarantine_cool_down);
  options.quarantine.cool_down_max = 4 * Span(conf.quarantine_cool_down);
  options.quarantine.probation = Span(conf.probation);
  options.quarantine.half_life = 5 * Span(conf.probation);
  options.quarantine.test_repeat = absl::Seconds(1);
  options.quarantine.test_timeout = absl::Seconds(20);
  return options;
}

absl::Time CoordinatorProcess::Now() const {
  const Micros now = world_->agenda.now();
  const double ran = static_cast<double>(now - booted_at_) * drift_;
  return absl::FromUnixSeconds(kWallStart) + Span(now + static_cast<Micros>(ran)) + clock_offset_;
}

void CoordinatorProcess::Boot() {
  if (alive_ || retired_) return;
  machine_up_ = true;
  if (disk_->corrupt) {  // refused; an operator restores the folder
    world_->trace.Mark(101);
    if (world_->trace.on()) world_->trace.Say(name_, "refuses to start: its journal is damaged");
    disk_->corrupt = false;
    return Restart();
  }
  ++life_;
  alive_ = true;
  serving_ = false;
  paused_ = false;
  booted_at_ = world_->agenda.now();
  clock_offset_ = next_offset_;
  drift_ = world_->conf.drift * (2 * world_->dice.Unit() - 1);
  line_.clear();
  unsynced_.clear();
  waiting_.clear();
  syncing_ = 0;
  appended_ = durable_ = 0;
  tick_at_ = no_tick_before_ = 0;
  cluster_ = std::make_unique<core::Cluster>(Options());
  disk_->view = JournalView(&world_->conf);
  disk_->book = SlotBook();
  disk_->incidents = IncidentBook();
  const bool ledger = world_->conf.Checks("ledger");
  v1::Record record;
  for (const std::string& bytes : disk_->records) {
    record.ParseFromString(bytes);
    cluster_->Apply(record);
    disk_->view.Take(record);  // judged when it was written
    if (ledger) disk_->book.Take(record);
    disk_->incidents.Take(record);
  }
  world_->trace.Mark(100, life_, disk_->records.size());
  if (world_->trace.on()) {
    world_->trace.Say(name_,
                      fmt::format("starts life {} on {} records", life_, disk_->records.size()));
  }
  world_->clients->CheckAcknowledged(*this);
  Step(core::Start{fmt::format("sim{:08x}", world_->seed), world_->dice.Next() | 1});
}

void CoordinatorProcess::Crash(bool power) {
  if (!alive_) return;
  world_->trace.Mark(102, power);
  if (std::string wrong = CheckReplay(); !wrong.empty()) world_->Fail(wrong);
  // Of the batches being written a part may have reached the disk; each one whole or not at all.
  size_t survive = world_->dice.Below(syncing_ + 1);
  if (world_->trace.on()) {
    world_->trace.Say(
        name_, fmt::format("{}; {} of {} unsynced batches survive", power ? "loses power" : "dies",
                           survive, unsynced_.size()));
  }
  for (; survive > 0; --survive) {
    for (std::string& bytes : unsynced_.front().records) {
      disk_->records.push_back(std::move(bytes));
    }
    unsynced_.pop_front();
  }
  disk_->durable = disk_->records.size();
  alive_ = false;
  serving_ = false;
  paused_ = false;
  machine_up_ = !power;
  ++life_;
  cluster_.reset();
  line_.clear();
  unsynced_.clear();
  syncing_ = 0;
  world_->network->CoordinatorGone(this, power);
}

void CoordinatorProcess::Retire() {
  retired_ = true;
  Crash(false);
}

void CoordinatorProcess::Restart() {
  world_->agenda.After(world_->dice.Exponential(world_->conf.down) + 100 * kMilli,
                       [this] { Boot(); });
}

void CoordinatorProcess::Pause(Micros span) {
  if (!alive_ || paused_) return;
  paused_ = true;
  world_->trace.Mark(103);
  if (world_->trace.on()) world_->trace.Say(name_, "stands still");
  world_->agenda.After(span, [this, life = life_, from = world_->agenda.now()] {
    if (life != life_) return;
    if (world_->agenda.now() - from > kStall) no_tick_before_ = world_->agenda.now() + kAfterStall;
    Wake();
  });
}

void CoordinatorProcess::Wake() {
  paused_ = false;
  world_->trace.Mark(104);
  if (world_->trace.on()) world_->trace.Say(name_, "wakes");
  const uint64_t life = life_;
  for (core::Input& input : std::exchange(waiting_, {})) {
    if (life != life_) return;
    Feed(std::move(input));
  }
  if (life != life_) return;
  Deliver();
  if (life == life_) WantTick(std::max<Micros>(0, no_tick_before_ - world_->agenda.now()));
}

bool CoordinatorProcess::DiesInStep() {
  if (!world_->faults_on || !world_->dice.Chance(world_->conf.coordinator_crash_in_step)) {
    return false;
  }
  world_->CountFault("coordinator.crash_in_step");
  Crash(false);
  Restart();
  return true;
}

void CoordinatorProcess::OnWorkerMessage(uint64_t session, v1::WorkerMessage message) {
  if (message.has_hello()) {
    Feed(core::WorkerConnected{SessionId(session), std::move(*message.mutable_hello())});
  } else {
    Feed(core::WorkerSaid{SessionId(session), std::move(message)});
  }
}

void CoordinatorProcess::OnWorkerGone(uint64_t session, const std::string& why) {
  Feed(core::WorkerDisconnected{SessionId(session), why});
}

void CoordinatorProcess::Feed(core::Input input) {
  if (!alive_) return;
  if (paused_) {
    waiting_.push_back(std::move(input));
    return;
  }
  const auto* said = std::get_if<core::WorkerSaid>(&input);
  const bool heartbeat = said != nullptr && said->message.has_heartbeat();
  const uint64_t life = life_;
  Step(input);
  if (!heartbeat && life == life_) WantTick(kTickSoon);
}

void CoordinatorProcess::Step(const core::Input& input) {
  const absl::Time now = Now();
  core::Outcome outcome = cluster_->Step(input, now);
  world_->trace.Mark(110 + input.index(), outcome.records.size(),
                     outcome.commands.size() * 1000 + outcome.replies.size());
  const uint64_t life = life_;
  if (!outcome.records.empty()) {
    Append(outcome.records);
    if (world_->failed()) return;
    CheckBooks();
    if (world_->failed()) return;
    outcome.records.clear();
    WantTick(kTickSoon);
  }
  if (DiesInStep() || life != life_) return;
  if (outcome.commands.empty() && outcome.replies.empty()) return;
  line_.push_back({appended_, std::make_shared<const core::Outcome>(std::move(outcome))});
  if (world_->dice.Chance(world_->conf.reply_before_sync)) line_.back().batches = 0;
  Deliver();
}

void CoordinatorProcess::CheckBooks() {
  std::string wrong;
  if (world_->conf.Checks("ledger")) wrong = disk_->book.Check(*cluster_);
  if (wrong.empty() && world_->conf.Checks("incidents")) {
    wrong = disk_->incidents.Check(*cluster_, disk_->view);
  }
  if (!wrong.empty()) world_->Fail(std::move(wrong));
}

void CoordinatorProcess::Append(const std::vector<v1::Record>& records) {
  Batch batch;
  for (const v1::Record& record : records) {
    std::string bytes = record.SerializeAsString();
    world_->trace.Fold(bytes);
    if (world_->trace.on()) world_->trace.Say(name_, "record " + record.ShortDebugString());
    std::string wrong = disk_->view.Take(record);
    const std::string checker = wrong.substr(0, wrong.find(':'));
    if (!wrong.empty() && world_->conf.Checks(checker)) world_->Fail(std::move(wrong));
    if (world_->conf.Checks("ledger")) disk_->book.Take(record);
    wrong = disk_->incidents.Take(record);
    if (wrong.empty()) wrong = world_->WhyNotCaughtUp(record);
    if (!wrong.empty() && world_->conf.Checks("incidents")) world_->Fail(std::move(wrong));
    if (record.has_job_ended()) world_->CountEnd(record.job_ended().state());
    if (disk_->kept) batch.records.push_back(std::move(bytes));
    ++batch.count;
    ++world_->totals.records;
  }
  unsynced_.push_back(std::move(batch));
  ++appended_;
  if (syncing_ == 0) StartSync();
}

void CoordinatorProcess::StartSync() {
  if (unsynced_.empty()) return;
  syncing_ = unsynced_.size();
  if (world_->dice.Chance(world_->conf.skip_sync)) durable_ = appended_;
  const Micros mean = world_->conf.disk_sync;
  world_->agenda.After(mean / 2 + world_->dice.Exponential(mean / 2), [this, life = life_] {
    if (life == life_) Synced();
  });
}

void CoordinatorProcess::Synced() {
  if (paused_) {
    world_->agenda.After(100 * kMilli, [this, life = life_] {
      if (life == life_) Synced();
    });
    return;
  }
  if (disk_->full) {  // it no longer knows what is durable: it stops
    disk_->full = false;
    Crash(false);
    return Restart();
  }
  for (; syncing_ > 0; --syncing_) {
    Batch& batch = unsynced_.front();
    disk_->durable += batch.count;
    for (std::string& bytes : batch.records) disk_->records.push_back(std::move(bytes));
    unsynced_.pop_front();
    durable_ = std::max(durable_, appended_ - unsynced_.size());
  }
  serving_ = true;
  StartSync();
  Deliver();
}

void CoordinatorProcess::Deliver() {
  const uint64_t life = life_;
  while (alive_ && life == life_ && !paused_ && !line_.empty() &&
         line_.front().batches <= durable_) {
    const auto outcome = std::move(line_.front().outcome);
    line_.pop_front();
    DeliverOne(*outcome);
  }
}

void CoordinatorProcess::DeliverOne(const core::Outcome& outcome) {
  for (const core::Command& command : outcome.commands) {
    if (DiesInStep()) return;
    if (const auto* send = std::get_if<core::SendToWorker>(&command)) {
      if (world_->trace.on()) {
        world_->trace.Say(name_, fmt::format("to session {}: {}", send->session.value(),
                                             send->message.ShortDebugString().substr(0, 300)));
      }
      world_->network->FromCoordinator(send->session.value(), send->message);
    } else {
      const auto& close = std::get<core::CloseSession>(command);
      if (world_->trace.on()) {
        world_->trace.Say(name_, fmt::format("closes session {}: {}", close.session.value(),
                                             std::string(close.status.message())));
      }
      world_->network->CloseByCoordinator(close.session.value(), close.status);
    }
  }
  for (const core::Reply& reply : outcome.replies) {
    if (DiesInStep()) return;
    world_->clients->OnReply(*this, reply);
  }
}

void CoordinatorProcess::WantTick(Micros in) {
  const Micros at = std::max(world_->agenda.now() + in, no_tick_before_);
  if (tick_at_ > world_->agenda.now() && tick_at_ <= at) return;
  tick_at_ = at;
  world_->agenda.At(at, [this, life = life_, at] {
    if (life == life_ && tick_at_ == at) Tick();
  });
}

void CoordinatorProcess::Tick() {
  if (paused_) return;  // Wake asks for the next one
  tick_at_ = 0;
  const uint64_t life = life_;
  Step(core::Tick{});
  if (life != life_ || !alive_) return;
  world_->AfterTick(*this);
  WantTick(world_->conf.tick);
}

std::string CoordinatorProcess::CheckReplay() const {
  if (!world_->conf.Checks("replay") || cluster_ == nullptr || !disk_->kept) return "";
  core::Cluster fresh(Options());
  v1::Record record;
  for (const std::string& bytes : disk_->records) {
    record.ParseFromString(bytes);
    fresh.Apply(record);
  }
  for (const Batch& batch : unsynced_) {
    for (const std::string& bytes : batch.records) {
      record.ParseFromString(bytes);
      fresh.Apply(record);
    }
  }
  const std::string now = DurableText(*cluster_);
  const std::string again = DurableText(fresh);
  if (now == again) return "";
  const auto differ = std::mismatch(now.begin(), now.end(), again.begin(), again.end());
  const size_t at = static_cast<size_t>(differ.first - now.begin());
  const size_t from = at < 80 ? 0 : at - 80;
  return fmt::format("replay: the state is not what its records say: \"…{}…\" is \"…{}…\" again",
                     now.substr(from, 200), again.substr(from, 200));
}

}  // namespace muster::sim
