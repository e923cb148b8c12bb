#include "sim/replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <variant>

#include "common/check.h"

namespace muster::sim::replay {
namespace {

namespace core = coordinator::core;

constexpr int64_t kWallStart = 1'700'000'000;
constexpr Micros kTestTakes = 10 * kSecond;
constexpr uint64_t kLifeShift = 32;  // session = life << 32 | node + 1

// Of the measured time from silence to death, the part that the core waits for a broken stream.
absl::Duration GoneAfter(const RecoveryCosts& costs) {
  return std::min(absl::Seconds(5), absl::Microseconds(costs.detect_node_gone));
}

core::Options CoreOptions(const ReplayOptions& options) {
  core::Options chosen;
  // Heartbeats are folded: the first look at a silent node is never due, so `dead_after` counts for
  // broken streams only. Orders are always obeyed, so they need not be said again soon.
  chosen.heartbeat_interval = absl::Hours(24);
  chosen.suspect_after = absl::Hours(24 * 3650);
  chosen.dead_after = GoneAfter(options.costs);
  chosen.reconnect_grace = absl::Seconds(5);
  chosen.order_repeat = absl::Hours(1);
  chosen.events_kept = 100;
  return chosen;
}

}  // namespace

Replay::Replay(const ReplayOptions& options, std::vector<Fault> faults)
    : options_(options),
      faults_(std::move(faults)),
      dice_(options.seed, 7),
      cluster_(CoreOptions(options)),
      nodes_(options.big.nodes + options.big.spares) {
  for (const Fault& fault : faults_) {
    CHECK(fault.node < nodes_.size(), "a fault of node {}, there are {}", fault.node,
          nodes_.size());
  }
  if (options_.picture_bins > 0) {
    result_.picture =
        Picture(static_cast<uint32_t>(nodes_.size()), options_.span, options_.picture_bins, 180);
  }
}

Replay::~Replay() = default;

absl::Time Replay::Now() const {
  return absl::FromUnixSeconds(kWallStart) + absl::Microseconds(agenda_.now());
}

int64_t Replay::UnixMicros() const { return kWallStart * kSecond + agenda_.now(); }

std::string Replay::NameOf(uint32_t node) const { return fmt::format("n{}", node + 1); }

void Replay::Step(const core::Input& input) {
  ++result_.inputs;
  const core::Outcome outcome = cluster_.Step(input, Now());
  for (const v1::Record& record : outcome.records) OnRecord(record);
  for (const core::Command& command : outcome.commands) {
    if (const auto* send = std::get_if<core::SendToWorker>(&command)) OnCommand(*send);
  }
  for (const core::Reply& reply : outcome.replies) {
    CHECK(reply.status.ok(), "the coordinator refused what the replay asked for: {}",
          std::string(reply.status.message()));
  }
  result_.records += outcome.records.size();
  result_.commands += outcome.commands.size();
}

void Replay::Say(uint32_t node, const core::Input& said) {
  if (nodes_[node].session != 0) Step(said);
}

void Replay::Prune(uint64_t job, uint64_t attempt, uint32_t node, const v1::CheckpointRef& newest,
                   uint64_t keep) {
  ++result_.checkpoints;
  auto& kept = kept_[job];
  kept.push_back(newest);
  if (keep == 0 || kept.size() <= keep) return;
  core::WorkerSaid said{SessionId(SessionOf(node)), {}};
  v1::CheckpointsPruned* pruned = said.message.mutable_pruned();
  pruned->set_job_id(job);
  pruned->set_attempt(attempt);
  *pruned->add_checkpoints() = kept.front();
  kept.erase(kept.begin());
  Say(node, said);
}

void Replay::OnCommand(const core::SendToWorker& send) {
  const auto node = static_cast<uint32_t>((send.session.value() & 0xFFFFFFFFu) - 1);
  if (nodes_[node].session != send.session.value()) return;
  const v1::CoordinatorMessage& message = send.message;
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kStart:
      return OnStart(node, message.start());
    case v1::CoordinatorMessage::kStop:
      return OnStop(node, message.stop());
    case v1::CoordinatorMessage::kCommitReply: {
      const v1::CommitReply& reply = message.commit_reply();
      const auto gang = gangs_.find({reply.job_id(), reply.attempt()});
      if (gang != gangs_.end()) gang->second->OnCommitReply(reply.step(), reply.permitted());
      return;
    }
    case v1::CoordinatorMessage::kTest:  // what is wrong with a node is over when it is up
      agenda_.After(kTestTakes, [this, node, session = send.session, test = message.test().test()] {
        if (nodes_[node].session != session.value()) return;
        core::WorkerSaid said{session, {}};
        said.message.mutable_test_report()->set_test(test);
        said.message.mutable_test_report()->set_passed(true);
        Step(said);
      });
      return;
    case v1::CoordinatorMessage::kWelcome:
    case v1::CoordinatorMessage::kRelease:
    case v1::CoordinatorMessage::kCommitAck:
    case v1::CoordinatorMessage::kTestAck:
    case v1::CoordinatorMessage::kDropVault:
    case v1::CoordinatorMessage::kSave:  // nobody asks for one
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      return;
  }
}

void Replay::OnStart(uint32_t node, const v1::StartRanks& start) {
  auto& gang = gangs_[{start.job_id(), start.attempt()}];
  if (gang == nullptr) gang = std::make_shared<Gang>(this, start);
  std::erase_if(nodes_[node].gangs, [](const auto& one) { return one.expired(); });
  nodes_[node].gangs.push_back(gang);
  gang->Start(node, start);
}

void Replay::OnStop(uint32_t node, const v1::StopRanks& stop) {
  const auto gang = gangs_.find({stop.job_id(), stop.attempt()});
  if (gang != gangs_.end()) {
    gang->second->Stop(static_cast<Micros>(stop.grace_ms()) * kMilli);
    return;
  }
  agenda_.After(kMilli, [this, node, job = stop.job_id(), attempt = stop.attempt()] {
    core::WorkerSaid said{SessionId(SessionOf(node)), {}};
    v1::AttemptReport* report = said.message.mutable_report();
    report->set_job_id(job);
    report->set_attempt(attempt);
    report->set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
    Say(node, said);
  });
}

void Replay::Connect(uint32_t node) {
  Node& one = nodes_[node];
  one.broken = false;
  result_.picture.SetDown(node, false, agenda_.now());
  if (one.session != 0) return;
  ++one.life;
  one.session = one.life << kLifeShift | (node + 1);
  core::WorkerConnected connected{SessionId(one.session), {}};
  v1::WorkerHello& hello = connected.hello;
  hello.set_node(NameOf(node));
  hello.set_incarnation(one.life);
  hello.set_slots(kSlots);
  hello.set_peer_address(NameOf(node) + ":7000");
  hello.mutable_location()->set_rack(fmt::format("r{}", node / std::max(1u, options_.rack) + 1));
  Step(connected);
}

void Replay::Disconnect(uint32_t node, const std::string& why) {
  Node& one = nodes_[node];
  if (one.session == 0) return;
  const core::WorkerDisconnected gone{SessionId(std::exchange(one.session, 0)), why};
  one.gangs.clear();
  Step(gone);
}

// The fault happens: what runs on the node stands still.
void Replay::Strike(const Fault& fault) {
  Node& node = nodes_[fault.node];
  const Micros now = agenda_.now();
  if (node.session == 0) {  // away already, or not yet there
    if (fault.repaired > now) agenda_.At(fault.repaired, [this, n = fault.node] { Connect(n); });
    result_.picture.SetDown(fault.node, fault.repaired > now, now);
    return;
  }
  ++result_.faults;
  // Of the folded heartbeats the last one counts: the node lived until now.
  core::WorkerSaid alive{SessionId(node.session), {}};
  alive.message.mutable_heartbeat();
  Step(alive);
  const bool leaves = fault.repaired > fault.at || fault.kind == FaultKind::kNodeGone;
  std::erase_if(node.gangs, [](const auto& gang) { return gang.expired(); });
  for (const auto& weak : node.gangs) {
    const std::shared_ptr<Gang> gang = weak.lock();
    if (gang == nullptr || gangs_.count({gang->job(), gang->attempt()}) == 0) continue;
    if (gang->job() == 1) ++result_.faults_hit_big;
    outages_.Hit(now, gang->job(), gang->attempt(), fault, NameOf(fault.node));
    gang->Hit(fault.node, fault.kind);
  }
  node.broken = fault.kind == FaultKind::kNodeGone;
  if (leaves) result_.picture.SetDown(fault.node, true, now);
  Micros detect = options_.costs.Detect(fault.kind);
  if (options_.stock) detect = std::max(detect, options_.costs.stock_timeout);
  if (fault.kind == FaultKind::kNodeGone) {
    const Micros gone = absl::ToInt64Microseconds(GoneAfter(options_.costs));
    agenda_.After(std::max<Micros>(0, detect - gone),
                  [this, n = fault.node, cause = fault.cause] { Disconnect(n, cause); });
  } else {
    agenda_.After(detect, [this, fault] { Notice(fault); });
  }
  if (!leaves) return;
  const Micros back = std::max(fault.repaired, now + detect + options_.costs.reboot);
  agenda_.At(back, [this, n = fault.node] { Connect(n); });
}

// Its worker tells that ranks failed, and the node is taken out for repair.
void Replay::Notice(const Fault& fault) {
  for (const auto& weak : std::vector<std::weak_ptr<Gang>>(nodes_[fault.node].gangs)) {
    if (const std::shared_ptr<Gang> gang = weak.lock()) gang->TellFailure(fault.node, fault);
  }
  if (fault.repaired > fault.at) {
    nodes_[fault.node].broken = true;
    Disconnect(fault.node, "taken out for repair: " + fault.cause);
  }
}

void Replay::Submit(v1::JobSpec spec) {
  core::SubmitJob submit;
  submit.token = RequestToken(++requests_);
  submit.request.set_request_id(fmt::format("replay-{}", requests_));
  submit.request.set_user("replay");
  *submit.request.mutable_spec() = std::move(spec);
  Step(submit);
}

void Replay::SubmitSmall() {
  if (options_.small.every <= 0) return;
  agenda_.After(dice_.Exponential(options_.small.every), [this] {
    Submit(SmallJobSpec(options_.small, ++small_jobs_, options_.costs.step, dice_));
    SubmitSmall();
  });
}

void Replay::RunUntil(Micros until) {
  uint32_t in_a_row = 0;
  while (true) {
    const absl::Time wake_at = cluster_.WakeAt();
    Micros wake = until + 1;
    if (wake_at <= Now()) {
      wake = agenda_.now() + (in_a_row > 3 ? kMilli : 0);
    } else if (wake_at < absl::FromUnixSeconds(kWallStart) + absl::Microseconds(until)) {
      wake = absl::ToUnixMicros(wake_at - absl::Microseconds(1)) + 1 - kWallStart * kSecond;
    }
    if (!agenda_.empty() && agenda_.next_at() <= std::min(wake, until)) {
      in_a_row = 0;
      agenda_.RunNext();
      continue;
    }
    if (wake > until) return;
    in_a_row = wake == agenda_.now() ? in_a_row + 1 : 0;
    agenda_.JumpTo(wake);
    Step(core::Tick{});
  }
}

ReplayResult Replay::Run() {
  Step(core::Start{"replay", 1});
  std::set<uint32_t> away;
  for (const Fault& fault : faults_) {
    if (fault.at == 0) away.insert(fault.node);
    agenda_.At(fault.at, [this, &fault] { Strike(fault); });
  }
  // Who is away at the start is known all the same: the cluster is as large as it is on other days.
  for (uint32_t node = 0; node < nodes_.size(); ++node) Connect(node);
  for (const uint32_t node : away) Disconnect(node, "away since before the replay");
  agenda_.At(kSecond, [this] {
    BigJob big = options_.big;
    big.save_every = static_cast<uint64_t>(
        std::max<Micros>(1, (options_.interval + options_.costs.step / 2) / options_.costs.step));
    big.steps = static_cast<uint64_t>(options_.span / options_.costs.step + 1);
    Submit(BigJobSpec(big));
    SubmitSmall();
  });
  RunUntil(options_.span);
  agenda_.JumpTo(options_.span);
  Finish();
  return std::move(result_);
}

void Replay::Finish() {
  const Micros now = options_.span;
  outages_.Close(now);
  result_.outages = outages_.all();
  for (const Outage& outage : result_.outages) {
    if (outage.job == 1) result_.picture.Incident(outage.at, outage.Down() > 10 * kMinute);
  }
  result_.picture.Close(now);
  for (auto& [id, times] : result_.jobs) {
    if (times.book.open()) times.book.Close(now);
  }
  Step(core::Tick{});  // the coordinator's time is the end, too
  v1::GetLedgerRequest request;
  request.set_job_id(1);
  auto ledger = cluster_.GetLedger(request);
  CHECK(ledger.ok(), "the big job has no ledger: {}", std::string(ledger.status().message()));
  result_.core = std::move(*ledger->mutable_ledger());
}

}  // namespace muster::sim::replay
