#include "tests/scenarios/script.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/check.h"
#include "common/duration.h"
#include "tests/scenarios/trace.h"
#include "tests/scenarios/words.h"
#include "tests/unit/core/durable_view.h"

namespace muster::scenarios {
namespace {

using coordinator::core::Cluster;
using coordinator::core::Input;
using coordinator::core::Outcome;

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr int64_t kOriginMs = 1'700'000'000'000;

}  // namespace

Script::Script()
    : cluster_(std::make_unique<Cluster>(options_)),
      now_(absl::FromUnixMillis(kOriginMs)),
      origin_(now_) {}

std::string Script::Step(const Input& input) {
  const Outcome outcome = cluster_->Step(input, now_);
  records_.insert(records_.end(), outcome.records.begin(), outcome.records.end());
  std::string text = Trace(outcome, names_);
  for (const auto& command : outcome.commands) {
    if (const auto* send = std::get_if<coordinator::core::SendToWorker>(&command)) {
      CHECK(send->message.epoch() == cluster_->epoch().value(), "a command without our epoch");
    } else {
      const SessionId closed = std::get<coordinator::core::CloseSession>(command).session;
      const auto found = sessions_.find(names_.at(closed));
      if (found != sessions_.end() && found->second == closed) sessions_.erase(found);
    }
  }
  return text;
}

std::string Script::Restart() {
  cluster_ = std::make_unique<Cluster>(options_);
  for (const v1::Record& record : records_) cluster_->Apply(record);
  sessions_.clear();
  return Step(coordinator::core::Start{"unused"});
}

std::string Script::Join(const Words& words) {
  coordinator::core::WorkerConnected input;
  input.session = SessionId(++last_session_);
  v1::WorkerHello& hello = input.hello;
  hello.set_node(words.at(1));
  hello.set_slots(static_cast<uint32_t>(Number(Get(words, "slots", "2"))));
  hello.set_incarnation(Number(Get(words, "incarnation", "1")));
  hello.set_cluster_id(Get(words, "cluster"));
  hello.set_highest_epoch(Number(Get(words, "epoch", "0")));
  hello.set_peer_address(words.at(1) + ":9");
  hello.mutable_location()->set_nvlink(Get(words, "nvlink"));
  hello.mutable_location()->set_rack(Get(words, "rack"));
  hello.mutable_location()->set_pod(Get(words, "pod"));
  if (const std::string labels = Get(words, "labels"); !labels.empty()) {
    ParseLabels(labels, hello.mutable_labels());
  }
  if (const std::string taints = Get(words, "taints"); !taints.empty()) {
    for (const std::string& taint : List(taints)) hello.add_taints(taint);
  }
  if (const std::string kind = Get(words, "device"); !kind.empty()) {
    for (uint32_t slot = 0; slot < hello.slots(); ++slot) {
      v1::Device* device = hello.add_devices();
      device->set_slot(slot);
      device->set_kind(kind);
    }
  }
  for (auto at = std::find(words.begin(), words.end(), "holding"); at != words.end();) {
    const auto next = std::find(at + 1, words.end(), "holding");
    *hello.add_attempts() = ParseReport(Words(at + 1, next), ++last_update_);
    at = next;
  }
  names_[input.session] = words.at(1);
  const auto before = sessions_.find(words.at(1));
  const bool had = before != sessions_.end();
  const SessionId old = had ? before->second : SessionId();
  sessions_[words.at(1)] = input.session;
  silent_.erase(words.at(1));
  std::string text = Step(input);
  // Refused: the worker's earlier stream, if any, lives on.
  if (had && sessions_.count(words.at(1)) == 0) sessions_[words.at(1)] = old;
  return text;
}

std::string Script::Advance(const Words& words) {
  const absl::Duration span = DurationFromText(words.at(1)).value();
  std::string text;
  for (const absl::Time end = now_ + span; now_ < end;) {
    now_ += kTick;
    std::string here;
    if ((now_ - origin_) % options_.heartbeat_interval == absl::ZeroDuration()) {
      const auto connected = sessions_;
      for (const auto& [node, session] : connected) {
        if (silent_.count(node) > 0) continue;
        v1::WorkerMessage beat;
        beat.mutable_heartbeat();
        here += Say(node, beat);
      }
    }
    here += Step(coordinator::core::Tick{});
    if (!here.empty()) text += fmt::format("at {}:\n{}", DurationText(now_ - origin_), here);
  }
  return text;
}

std::string Script::Say(const std::string& node, v1::WorkerMessage message) {
  const auto found = sessions_.find(node);
  CHECK(found != sessions_.end(), "worker {} is not connected", node);
  return Step(coordinator::core::WorkerSaid{found->second, std::move(message)});
}

std::string Script::OnAllNodes(const Words& words, const std::string& fate, bool stopped) {
  v1::GetJobRequest request;
  request.set_job_id(Number(words.at(1)));
  const v1::Job job = cluster_->GetJob(request)->job();
  const v1::Attempt& attempt = job.attempts(job.attempts_size() - 1);
  std::string text;
  for (const v1::NodeShare& share : attempt.shares()) {
    if (sessions_.count(share.node()) == 0) continue;
    Words report = {
        fmt::format("{}.{}", job.id(), attempt.number()),
        fmt::format("{}-{}={}", share.first_rank(), share.first_rank() + share.ranks() - 1, fate)};
    if (stopped) report.push_back("stopped");
    report.insert(report.end(), words.begin() + 2, words.end());
    v1::WorkerMessage message;
    *message.mutable_report() = ParseReport(report, ++last_update_);
    text += Say(share.node(), std::move(message));
  }
  return text;
}

std::string Script::Show(const Words& words) const {
  std::string text;
  if (words.at(1) == "jobs") {
    const auto jobs = cluster_->ListJobs({});
    for (const v1::Job& job : jobs->jobs()) text += JobLine(job) + "\n";
  } else if (words.at(1) == "nodes") {
    const auto nodes = cluster_->ListNodes({});
    for (const v1::Node& node : nodes->nodes()) text += NodeLine(node) + "\n";
  } else if (words.at(1) == "incidents") {
    v1::ListIncidentsRequest request;
    request.set_job_id(Number(Get(words, "job", "0")));
    request.set_node(Get(words, "node"));
    request.set_unacknowledged(Has(words, "unacked"));
    const auto incidents = cluster_->ListIncidents(request);
    for (const v1::Incident& one : incidents->incidents()) text += IncidentLine(one) + "\n";
    if (text.empty()) text = "no incidents\n";
  } else if (words.at(1) == "incident") {
    v1::GetIncidentRequest request;
    request.set_incident_id(Number(words.at(2)));
    const auto found = cluster_->GetIncident(request);
    if (!found.ok()) return std::string(found.status().message()) + "\n";
    text = IncidentLines(found->incident());
  } else if (words.at(1) == "node") {
    v1::GetNodeRequest request;
    request.set_node(words.at(2));
    text = NodeStory(*cluster_->GetNode(request));
  } else if (words.at(1) == "queues") {
    const v1::ListQueuesResponse queues = cluster_->ListQueues();
    for (const v1::Queue& queue : queues.queues()) text += QueueLine(queue) + "\n";
  } else if (words.at(1) == "plan") {
    v1::PlanJobRequest request;
    ParseSpec({words.begin() + 1, words.end()}, request.mutable_spec());
    request.set_user(Get(words, "user"));
    const auto plan = cluster_->PlanJob(request);
    if (!plan.ok()) return std::string(plan.status().message()) + "\n";
    text = PlanLine(*plan, now_) + "\n";
  } else if (words.at(1) == "job") {
    v1::GetJobRequest request;
    request.set_job_id(Number(words.at(2)));
    const v1::Job job = cluster_->GetJob(request)->job();
    text = WaitLines(job, now_);
    for (const v1::SaveTrouble& trouble : job.save_troubles()) {
      text += fmt::format("save trouble \"{}\"\n", trouble.text());
    }
  } else if (words.at(1) == "ledger") {
    v1::GetJobRequest request;
    request.set_job_id(Number(words.at(2)));
    text = LedgerLine(cluster_->GetJob(request)->job().ledger()) + "\n";
  } else if (words.at(1) == "events") {
    const auto events = cluster_->EventsAfter(Number(Get(words, "after", "0")), JobId());
    CHECK(events.ok(), "{}", std::string(events.status().message()));
    for (const v1::JobEvent& event : *events) text += EventLine(event) + "\n";
  } else {
    CHECK(false, "cannot show {}", words.at(1));
  }
  return text;
}

std::string Script::Run(const std::string& line) {
  const Words words = Split(line);
  const std::string& verb = words.at(0);
  if (verb == "quietly") {
    Run(line.substr(verb.size() + 1));
    return "";
  }
  v1::WorkerMessage message;
  if (verb == "start") return Step(coordinator::core::Start{Get(words, "cluster", "c0ffee42")});
  if (verb == "restart") return Restart();
  if (verb == "join") return Join(words);
  if (verb == "advance") return Advance(words);
  if (const auto answer = Request(words)) return *answer;
  if (verb == "show") return Show(words);
  if (verb == "runs") return OnAllNodes(words, "up", false);
  if (verb == "finishes") return OnAllNodes(words, "exit:0", true);
  if (verb == "leaves") return OnAllNodes(words, "exit:75", true);
  if (verb == "killed") return OnAllNodes(words, "ours", true);
  if (verb == "silence") {
    silent_.insert(words.at(1));
    return "";
  }
  if (verb == "disconnect") {
    const SessionId session = sessions_.at(words.at(1));
    sessions_.erase(words.at(1));
    return Step(coordinator::core::WorkerDisconnected{session, Get(words, "why")});
  }
  if (verb == "tested") {
    message.mutable_test_report()->set_test(Number(words.at(2)));
    message.mutable_test_report()->set_passed(words.at(3) == "passed");
    message.mutable_test_report()->set_text(Get(words, "text", "as expected"));
    return Say(words.at(1), std::move(message));
  }
  if (verb == "vault") {
    for (size_t i = 2; i < words.size(); ++i) {
      message.mutable_heartbeat()->add_vault_jobs(words.at(i));
    }
    return Say(words.at(1), std::move(message));
  }
  if (verb == "goodbye") {
    message.mutable_goodbye();
    return Say(words.at(1), std::move(message));
  }
  if (verb == "report") {
    *message.mutable_report() = ParseReport(Words(words.begin() + 2, words.end()), ++last_update_);
  } else if (verb == "permit") {
    SetKey(message.mutable_commit_request(), words.at(2));
    *message.mutable_commit_request()->mutable_checkpoint() = ParseRef(words);
  } else if (verb == "committed") {
    SetKey(message.mutable_commit_done(), words.at(2));
    *message.mutable_commit_done()->mutable_checkpoint() = ParseRef(words);
  } else if (verb == "prune") {
    SetKey(message.mutable_pruned(), words.at(2));
    *message.mutable_pruned()->add_checkpoints() = ParseRef(words);
  } else {
    CHECK(false, "no command \"{}\"; tests/scenarios/README.md has them all", verb);
  }
  return Say(words.at(1), std::move(message));
}

std::string Script::ReplayDifference() const {
  const std::string live = coordinator::core::DurableView(*cluster_);
  const std::string replayed = coordinator::core::ReplayedView(options_, records_);
  if (live == replayed) return "";
  return "--- live\n" + live + "--- replayed\n" + replayed;
}

}  // namespace muster::scenarios
