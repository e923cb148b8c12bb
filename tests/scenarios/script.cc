#include "tests/scenarios/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "common/check.h"
#include "common/duration.h"
#include "tests/scenarios/trace.h"
#include "tests/unit/core/durable_view.h"

namespace muster::scenarios {
namespace {

using coordinator::core::Cluster;
using coordinator::core::Input;
using coordinator::core::Outcome;

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr int64_t kOriginMs = 1'700'000'000'000;

// "a b="c d"" → {a, b=c d}
std::vector<std::string> Split(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (const char letter : line) {
    if (letter == '"') {
      quoted = !quoted;
      any = true;
    } else if (letter == ' ' && !quoted) {
      if (any) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += letter;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

// The value of `key=...`, or the fallback.
std::string Get(const std::vector<std::string>& words, const std::string& key,
                const std::string& fallback = "") {
  for (const std::string& word : words) {
    if (word.compare(0, key.size() + 1, key + "=") == 0) return word.substr(key.size() + 1);
  }
  return fallback;
}

bool Has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

uint64_t Number(const std::string& text) { return std::stoull(text); }

template <typename Message>
void SetKey(Message* message, const std::string& key) {  // "1.2" = attempt 2 of job 1
  const size_t dot = key.find('.');
  CHECK(dot != std::string::npos, "\"{}\" is not JOB.ATTEMPT", key);
  message->set_job_id(Number(key.substr(0, dot)));
  message->set_attempt(Number(key.substr(dot + 1)));
}

// "up", "spawned", "exit:1@5000", "kill:9@5000", "ours", "noexec:text"
void SetFate(v1::RankReport* rank, const std::string& fate) {
  const size_t colon = fate.find(':');
  const size_t at = fate.find('@');
  const std::string how = fate.substr(0, std::min(colon, at));
  const std::string what = colon == std::string::npos ? "" : fate.substr(colon + 1, at - colon - 1);
  if (at != std::string::npos)
    rank->set_exit_unix_us(static_cast<int64_t>(Number(fate.substr(at + 1))));
  if (how == "spawned") return rank->set_state(v1::RANK_STATE_SPAWNED);
  if (how == "up") return rank->set_state(v1::RANK_STATE_RUNNING);
  rank->set_state(v1::RANK_STATE_EXITED);
  if (how == "exit") return rank->set_exit_code(static_cast<int32_t>(Number(what)));
  if (how == "kill") return rank->set_signal(static_cast<int32_t>(Number(what)));
  if (how == "noexec") return rank->set_error(what);
  CHECK(how == "ours", "a rank cannot be \"{}\"", how);
  rank->set_signal(9);
  rank->set_stopped_by_us(true);
}

// JOB.ATTEMPT [0-1=FATE ...] [phase= step= first= of= spent= line=] [stopped]
v1::AttemptReport ParseReport(const std::vector<std::string>& words, uint64_t update) {
  v1::AttemptReport report;
  SetKey(&report, words.at(0));
  report.set_state(Has(words, "stopped") ? v1::LOCAL_ATTEMPT_STATE_STOPPED
                                         : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  v1::Progress progress;
  if (const std::string step = Get(words, "step"); !step.empty()) {
    progress.set_step(Number(step));
    progress.set_first_step(Number(Get(words, "first", "0")));
    progress.set_target_steps(Number(Get(words, "of", "0")));
    progress.set_productive_seconds(std::stod(Get(words, "spent", "0")));
    progress.set_loss(2.5);
    progress.set_tokens_per_second(1000);
    progress.set_updates(update);
    progress.set_phase(v1::PHASE_STEP);
  }
  if (const std::string phase = Get(words, "phase"); !phase.empty()) {
    v1::Phase parsed;
    CHECK(v1::Phase_Parse("PHASE_" + phase, &parsed), "there is no phase {}", phase);
    progress.set_phase(parsed);
    progress.set_updates(update);
  }
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos || words[i][0] < '0' || words[i][0] > '9') continue;
    const std::string range = words[i].substr(0, equals);
    const size_t dash = range.find('-');
    const uint64_t first = Number(range.substr(0, dash));
    const uint64_t last = dash == std::string::npos ? first : Number(range.substr(dash + 1));
    for (uint64_t number = first; number <= last; ++number) {
      v1::RankReport* rank = report.add_ranks();
      rank->set_rank(static_cast<uint32_t>(number));
      *rank->mutable_progress() = progress;
      SetFate(rank, words[i].substr(equals + 1));
      if (const std::string line = Get(words, "line"); !line.empty()) rank->add_last_lines(line);
    }
  }
  return report;
}

void ParseSpec(const std::vector<std::string>& words, v1::JobSpec* spec) {
  spec->set_name(words.size() > 1 ? words[1] : "x");
  std::string axes = Get(words, "mesh", "data:1") + ",";
  while (!axes.empty()) {
    std::string axis = axes.substr(0, axes.find(','));
    axes.erase(0, axis.size() + 1);
    v1::Axis* added = spec->add_mesh();
    if (const size_t at = axis.find('@'); at != std::string::npos) {
      CHECK(axis.substr(at) == "@node", "an axis lies within a node or anywhere");
      added->set_within(v1::DOMAIN_NODE);
      axis.erase(at);
    }
    added->set_name(axis.substr(0, axis.find(':')));
    added->set_size(static_cast<uint32_t>(Number(axis.substr(axis.find(':') + 1))));
  }
  spec->mutable_resources()->set_slots_per_rank(
      static_cast<uint32_t>(Number(Get(words, "slots", "1"))));
  if (Has(words, "program")) {
    spec->mutable_program()->add_command("true");
  } else {
    spec->mutable_train()->set_steps(Number(Get(words, "steps", "100")));
  }
  spec->mutable_recovery()->set_attempts_without_progress(
      static_cast<uint32_t>(Number(Get(words, "tries", "3"))));
}

v1::CheckpointRef ParseRef(const std::vector<std::string>& words) {
  v1::CheckpointRef ref;
  ref.set_step(Number(Get(words, "step")));
  ref.set_attempt(Number(Get(words, "by", words.at(2).substr(words.at(2).find('.') + 1))));
  ref.set_manifest_sha256(Get(words, "sha", "aa"));
  ref.set_bytes(12'300'000);
  return ref;
}

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

std::string Script::Submit(const Words& words) {
  coordinator::core::SubmitJob input;
  input.token = RequestToken(++last_token_);
  input.request.set_request_id(Get(words, "request"));
  input.request.set_validate_only(Has(words, "validate"));
  input.request.set_user(Get(words, "user"));
  ParseSpec(words, input.request.mutable_spec());
  return Step(input);
}

std::string Script::Admission(const Words& words, v1::NodeAdmission admission) {
  coordinator::core::SetNodeAdmission input;
  input.token = RequestToken(++last_token_);
  input.request.set_node(words.at(1));
  input.request.set_admission(admission);
  input.request.set_reason(Get(words, "reason"));
  input.request.set_request_id(Get(words, "request"));
  return Step(input);
}

std::string Script::Say(const std::string& node, v1::WorkerMessage message) {
  const auto found = sessions_.find(node);
  CHECK(found != sessions_.end(), "worker {} is not connected", node);
  return Step(coordinator::core::WorkerSaid{found->second, std::move(message)});
}

std::string Script::Show(const Words& words) const {
  std::string text;
  if (words.at(1) == "jobs") {
    const auto jobs = cluster_->ListJobs({});
    for (const v1::Job& job : jobs->jobs()) text += JobLine(job) + "\n";
  } else if (words.at(1) == "nodes") {
    const auto nodes = cluster_->ListNodes({});
    for (const v1::Node& node : nodes->nodes()) text += NodeLine(node) + "\n";
  } else if (words.at(1) == "plan") {
    v1::PlanJobRequest request;
    ParseSpec({words.begin() + 1, words.end()}, request.mutable_spec());
    const auto plan = cluster_->PlanJob(request);
    if (!plan.ok()) return std::string(plan.status().message()) + "\n";
    text = fmt::format("{} \"{}\"\n", plan->fits_now() ? "fits" : "waits", plan->reason());
  } else if (words.at(1) == "ledger") {
    v1::GetJobRequest request;
    request.set_job_id(Number(words.at(2)));
    const v1::JobAccounting& sum = cluster_->GetJob(request)->job().accounting();
    text = fmt::format(
        "wall {:.1f} = productive {:.1f} + recompute {:.1f} + checkpoint {:.1f} + startup {:.1f} + "
        "down {:.1f} + other {:.1f}; {} steps recomputed\n",
        sum.wall_seconds(), sum.productive_seconds(), sum.recompute_seconds(),
        sum.checkpoint_seconds(), sum.startup_seconds(), sum.down_seconds(), sum.other_seconds(),
        sum.steps_recomputed());
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
  v1::WorkerMessage message;
  if (verb == "start") return Step(coordinator::core::Start{Get(words, "cluster", "c0ffee42")});
  if (verb == "restart") return Restart();
  if (verb == "join") return Join(words);
  if (verb == "advance") return Advance(words);
  if (verb == "submit") return Submit(words);
  if (verb == "drain") return Admission(words, v1::NODE_ADMISSION_DRAINING);
  if (verb == "cordon") return Admission(words, v1::NODE_ADMISSION_CORDONED);
  if (verb == "open") return Admission(words, v1::NODE_ADMISSION_OPEN);
  if (verb == "show") return Show(words);
  if (verb == "silence") {
    silent_.insert(words.at(1));
    return "";
  }
  if (verb == "disconnect") {
    const SessionId session = sessions_.at(words.at(1));
    sessions_.erase(words.at(1));
    return Step(coordinator::core::WorkerDisconnected{session, Get(words, "why")});
  }
  if (verb == "cancel") {
    coordinator::core::CancelJob input;
    input.token = RequestToken(++last_token_);
    input.request.set_job_id(Number(words.at(1)));
    input.request.set_reason(Get(words, "reason"));
    input.request.set_request_id(Get(words, "request"));
    return Step(input);
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
