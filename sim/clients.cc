#include "sim/clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "sim/coordinator_process.h"
#include "sim/jobs.h"
#include "sim/network.h"
#include "sim/world.h"

namespace muster::sim {
namespace {

namespace core = coordinator::core;

constexpr uint64_t kTriesMax = 10'000;

// Sets the token and the request_id of any request.
struct Address {
  RequestToken token;
  const std::string& id;
  template <typename Input>
  void operator()(Input& input) const {
    if constexpr (requires { input.request.set_request_id(id); }) {
      input.token = token;
      input.request.set_request_id(id);
    }
  }
};

v1::QueueSpec QueueOf(const QueueKind& kind) {
  v1::QueueSpec spec;
  spec.set_name(kind.name);
  spec.set_quota(static_cast<uint32_t>(kind.quota));
  spec.set_weight(kind.weight);
  spec.set_priority(static_cast<int32_t>(kind.priority));
  if (kind.limit >= 0) spec.set_limit(static_cast<uint32_t>(kind.limit));
  if (kind.user_limit >= 0) spec.set_user_limit(static_cast<uint32_t>(kind.user_limit));
  return spec;
}

// The job an answer is about; 0 = none.
uint64_t JobOf(const core::Reply& reply) {
  return std::visit(
      [](const auto& response) -> uint64_t {
        if constexpr (requires { response.job().id(); }) return response.job().id();
        return 0;
      },
      reply.response);
}

}  // namespace

void Clients::Every(Micros mean, void (Clients::*act)()) {
  if (mean <= 0) return;
  world_->agenda.After(world_->dice.Exponential(mean), [this, mean, act] {
    if (!world_->load_on) return;
    (this->*act)();
    Every(mean, act);
  });
}

void Clients::Start() {
  const Case& conf = world_->conf;
  world_->agenda.After(kSecond, [this] { SetUpQueues(); });
  Every(conf.submit, &Clients::Submit);
  Every(conf.cancel, &Clients::Cancel);
  Every(conf.admission, &Clients::Admit);
  Every(conf.quarantine, &Clients::Quarantine);
  Every(conf.control, &Clients::Control);
  Every(conf.scale, &Clients::Scale);
  Every(conf.queue_change, &Clients::ChangeQueue);
}

void Clients::SetUpQueues() {
  for (const QueueKind& kind : world_->conf.queues) {
    core::SetQueue input;
    *input.request.mutable_queue() = QueueOf(kind);
    Ask("queue", std::move(input));
  }
}

void Clients::Control() {
  core::ControlJob input;
  input.request.set_job_id(AnyJob());
  input.request.set_action(static_cast<v1::JobAction>(1 + world_->dice.Below(5)));
  Ask("control", std::move(input));
}

void Clients::Scale() {
  const uint64_t job = AnyJob();
  const JournalView::JobFacts* facts = world_->leader()->disk().view.Job(job);
  if (facts == nullptr || facts->spec.mesh_size() == 0) return;
  core::ScaleJob input;
  input.request.set_job_id(job);
  v1::Axis* axis = input.request.add_mesh();
  axis->set_name(facts->spec.mesh(0).name());
  axis->set_size(static_cast<uint32_t>(1 + world_->dice.Below(facts->spec.mesh(0).size() + 1)));
  Ask("scale", std::move(input));
}

void Clients::ChangeQueue() {
  if (world_->conf.queues.empty()) return;
  const QueueKind& kind = world_->conf.queues[world_->dice.Below(world_->conf.queues.size())];
  if (world_->dice.Chance(0.5)) {
    core::PauseQueue input;
    input.request.set_name(kind.name);
    input.request.set_paused(world_->dice.Chance(0.5));
    input.request.set_reason("a pause");
    return Ask("queue", std::move(input));
  }
  core::SetQueue input;
  v1::QueueSpec* spec = input.request.mutable_queue();
  *spec = QueueOf(kind);
  spec->set_quota(static_cast<uint32_t>(world_->dice.Below(spec->quota() + 1)));
  spec->set_priority(spec->priority() + static_cast<int32_t>(world_->dice.Below(3)));
  Ask("queue", std::move(input));
}

void Clients::Submit() {
  if (static_cast<int64_t>(submitted_) >= world_->conf.jobs_max) return;
  core::SubmitJob input;
  const JobDraw draw = DrawJob(world_->conf, world_->dice, ++submitted_, newest_job_);
  *input.request.mutable_spec() = draw.spec;
  input.request.set_user(draw.user);
  Ask("submit", std::move(input));
}

uint64_t Clients::AnyJob() {
  // Mostly a young one, so that it still does something.
  const uint64_t back = world_->dice.Below(6);
  return newest_job_ > back ? newest_job_ - back : 1 + world_->dice.Below(newest_job_ + 1);
}

void Clients::Cancel() {
  core::CancelJob input;
  input.request.set_job_id(AnyJob());
  input.request.set_reason("changed my mind");
  Ask("cancel", std::move(input));
}

void Clients::Admit() {
  core::SetNodeAdmission input;
  input.request.set_node(
      fmt::format("n{}", 1 + world_->dice.Below(static_cast<uint64_t>(world_->conf.nodes))));
  const uint64_t pick = world_->dice.Below(5);
  input.request.set_admission(pick < 2    ? v1::NODE_ADMISSION_OPEN
                              : pick == 2 ? v1::NODE_ADMISSION_CORDONED
                                          : v1::NODE_ADMISSION_DRAINING);
  input.request.set_reason("lemon");
  Ask("admission", std::move(input));
}

void Clients::Quarantine() {
  const std::string node =
      fmt::format("n{}", 1 + world_->dice.Below(static_cast<uint64_t>(world_->conf.nodes)));
  const uint64_t pick = world_->dice.Below(4);
  if (pick == 3) {
    core::TestNode input;
    input.request.set_node(node);
    return Ask("test", std::move(input));
  }
  core::SetNodeQuarantine input;
  input.request.set_node(node);
  input.request.set_quarantine(pick == 0 ? v1::QUARANTINE_NONE : v1::QUARANTINE_COOLING);
  if (pick == 1) input.request.set_cool_down_ms(world_->dice.Below(10'000));
  input.request.set_reason("looks odd");
  Ask("quarantine", std::move(input));
}

void Clients::OpenEverything() {
  SetUpQueues();
  for (const auto& [id, job] : world_->leader()->disk().view.jobs()) {
    if (job.ended != 0) continue;
    for (const v1::JobAction action : {v1::JOB_ACTION_RELEASE, v1::JOB_ACTION_RESUME}) {
      if (!(action == v1::JOB_ACTION_RELEASE ? job.held : job.suspended)) continue;
      core::ControlJob input;
      input.request.set_job_id(id);
      input.request.set_action(action);
      Ask("control", std::move(input));
    }
  }
  for (int64_t i = 0; i < world_->conf.nodes; ++i) {
    core::SetNodeAdmission input;
    input.request.set_node(fmt::format("n{}", i + 1));
    input.request.set_admission(v1::NODE_ADMISSION_OPEN);
    Ask("admission", std::move(input));
  }
  for (const auto& [name, node] : world_->leader()->disk().view.nodes()) {
    if (node.quarantine != v1::QUARANTINE_COOLING || node.until_unix_ms != 0) continue;
    core::SetNodeQuarantine input;  // a person's, without an end
    input.request.set_node(name);
    input.request.set_quarantine(v1::QUARANTINE_NONE);
    Ask("quarantine", std::move(input));
  }
}

void Clients::Ask(const std::string& kind, core::Input input) {
  Request& request = requests_.emplace_back();
  request.id = fmt::format("r{}", requests_.size());
  request.kind = kind;
  request.input = std::move(input);
  ++open_;
  ++world_->totals.requests[kind];
  Try(requests_.size() - 1);
}

void Clients::Try(size_t index) {
  Request& request = requests_[index];
  const RequestToken token(++last_token_);
  tokens_[token.value()] = index;
  core::Input input = request.input;
  std::visit(Address{token, request.id}, input);
  const uint64_t tries = ++request.tries;
  const bool lost = world_->faults_on && world_->dice.Chance(world_->conf.lose_request);
  CoordinatorProcess* to = world_->leader();
  if (!lost) {
    world_->agenda.After(world_->network->Delay(), [to, input = std::move(input)]() mutable {
      if (to->serving()) to->Feed(std::move(input));
    });
  }
  const Micros patience =
      world_->conf.client_timeout + world_->dice.Between(0, world_->conf.client_timeout);
  world_->agenda.After(patience, [this, index, tries] {
    Request& asked = requests_[index];
    if (asked.answered || asked.tries != tries || tries > kTriesMax) return;
    Try(index);
  });
}

void Clients::OnReply(CoordinatorProcess& from, const core::Reply& reply) {
  const auto found = tokens_.find(reply.token.value());
  if (found == tokens_.end()) return;
  const size_t index = found->second;
  tokens_.erase(found);
  if (world_->faults_on && world_->dice.Chance(world_->conf.lose_reply)) return;
  world_->agenda.After(world_->network->Delay(),
                       [this, index, &from, reply] { Answer(index, from, reply); });
}

void Clients::Answer(size_t index, CoordinatorProcess& from, const core::Reply& reply) {
  Request& request = requests_[index];
  world_->trace.Mark(500, index, static_cast<uint64_t>(reply.status.code()));
  if (world_->trace.on()) {
    world_->trace.Say("caller",
                      fmt::format("{} {}: {}", request.kind, request.id,
                                  reply.status.ok() ? fmt::format("ok, job {}", JobOf(reply))
                                                    : std::string(reply.status.message())));
  }
  const uint64_t job = JobOf(reply);
  if (reply.status.ok()) newest_job_ = std::max(newest_job_, job);
  const bool same_master =
      request.acknowledged_by == nullptr || request.acknowledged_by == &from.disk();
  if (request.answered && request.acknowledged_by != nullptr && same_master &&
      world_->conf.Checks("requests") && (!reply.status.ok() || job != request.job)) {
    return world_->Fail(fmt::format(
        "requests: {} {} was answered with job {}, and asked again with {}", request.kind,
        request.id, request.job,
        reply.status.ok() ? fmt::format("job {}", job) : std::string(reply.status.message())));
  }
  if (reply.status.ok() && request.kind == "submit") {
    const uint64_t record = from.disk().view.RequestOf(request.id);
    if (world_->conf.Checks("effects") && (record == 0 || record > from.disk().durable)) {
      return world_->Fail(fmt::format(
          "effects: submit {} is acknowledged, and no durable record says so", request.id));
    }
    request.acknowledged_by = &from.disk();
    request.job = job;
  }
  if (!request.answered) {
    request.answered = true;
    --open_;
  }
  if (!request.repeated && world_->dice.Chance(world_->conf.repeat_request)) {
    request.repeated = true;
    Try(index);
  }
}

void Clients::CheckAcknowledged(CoordinatorProcess& coordinator) {
  if (!world_->conf.Checks("requests")) return;
  for (const Request& request : requests_) {
    if (request.acknowledged_by != &coordinator.disk()) continue;
    if (coordinator.disk().view.JobOfRequest(request.id) == request.job) continue;
    return world_->Fail(fmt::format(
        "requests: submit {} was acknowledged as job {}; after a restart nothing is known of it",
        request.id, request.job));
  }
}

}  // namespace muster::sim
