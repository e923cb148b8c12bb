#include <fmt/format.h>

#include "coordinator/core/causes.h"
#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {
namespace {

// Empty = permitted.
std::string WhyRefused(const Job* job, const v1::CommitRequest& request) {
  if (job == nullptr) return fmt::format("there is no job {}", request.job_id());
  if (job->attempts.empty() || job->attempts.back().facts.number() != request.attempt()) {
    return fmt::format("attempt {} is not the newest of job {}", request.attempt(),
                       request.job_id());
  }
  const v1::Attempt& facts = job->attempts.back().facts;
  if (!MayCommit(facts.state(), facts.outcome())) {
    return fmt::format("attempt {} is over: {}", request.attempt(), OutcomeText(facts.outcome()));
  }
  return "";
}

void AnswerRequest(Turn& turn, const Node& node, uint64_t job, uint64_t attempt, uint64_t step,
                   const std::string& refused) {
  v1::CoordinatorMessage message;
  v1::CommitReply* reply = message.mutable_commit_reply();
  reply->set_job_id(job);
  reply->set_attempt(attempt);
  reply->set_step(step);
  reply->set_permitted(refused.empty());
  reply->set_reason(refused);
  turn.Send(node, std::move(message));
}

}  // namespace

void OnCommitRequest(Turn& turn, const Node& node, const v1::CommitRequest& request) {
  Job* job = turn.state().jobs.Find(JobId(request.job_id()));
  const uint64_t step = request.checkpoint().step();
  std::string refused = WhyRefused(job, request);
  const v1::CheckpointRef* known =
      job == nullptr ? nullptr : job->checkpoints.Find(step, request.attempt());
  if (refused.empty() && known != nullptr &&
      known->manifest_sha256() != request.checkpoint().manifest_sha256()) {
    refused = fmt::format("step {} of attempt {} was permitted with another manifest", step,
                          request.attempt());
  }
  if (refused.empty() && known == nullptr) {
    v1::Record record;
    v1::CommitPermitted* permitted = record.mutable_commit_permitted();
    permitted->set_job_id(request.job_id());
    permitted->set_attempt(request.attempt());
    *permitted->mutable_checkpoint() = request.checkpoint();
    permitted->mutable_checkpoint()->set_attempt(request.attempt());
    permitted->mutable_checkpoint()->set_committed(false);
    permitted->mutable_checkpoint()->set_time_unix_ms(turn.now_ms());
    turn.Record(std::move(record));
  }
  AnswerRequest(turn, node, request.job_id(), request.attempt(), step, refused);
}

void OnCommitDone(Turn& turn, const Node& node, const v1::CommitDone& done) {
  Job* job = turn.state().jobs.Find(JobId(done.job_id()));
  const uint64_t step = done.checkpoint().step();
  const v1::CheckpointRef* known =
      job == nullptr ? nullptr : job->checkpoints.Find(step, done.attempt());
  if (known == nullptr) {
    AnswerRequest(turn, node, done.job_id(), done.attempt(), step,
                  fmt::format("step {} of attempt {} has no permit, or was pruned since", step,
                              done.attempt()));
    return;
  }
  if (!known->committed()) {
    v1::Record record;
    v1::CheckpointCommitted* committed = record.mutable_checkpoint_committed();
    committed->set_job_id(done.job_id());
    committed->set_attempt(done.attempt());
    *committed->mutable_checkpoint() = *known;
    committed->mutable_checkpoint()->set_committed(true);
    committed->mutable_checkpoint()->set_time_unix_ms(turn.now_ms());
    turn.Record(std::move(record));
  }
  v1::CoordinatorMessage message;
  v1::CommitAck* ack = message.mutable_commit_ack();
  ack->set_job_id(done.job_id());
  ack->set_attempt(done.attempt());
  ack->set_step(step);
  turn.Send(node, std::move(message));
}

void OnPruned(Turn& turn, const v1::CheckpointsPruned& pruned) {
  const Job* job = turn.state().jobs.Find(JobId(pruned.job_id()));
  if (job == nullptr) return;
  v1::Record record;
  v1::CheckpointForgotten* forgotten = record.mutable_checkpoint_forgotten();
  forgotten->set_job_id(pruned.job_id());
  for (const v1::CheckpointRef& ref : pruned.checkpoints()) {
    if (const v1::CheckpointRef* known = job->checkpoints.Find(ref.step(), ref.attempt())) {
      *forgotten->add_checkpoints() = *known;
    }
  }
  if (forgotten->checkpoints_size() > 0) turn.Record(std::move(record));
}

}  // namespace muster::coordinator::core
