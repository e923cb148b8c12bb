#include "coordinator/core/ledger.h"

#include <algorithm>

#include "common/status.h"
#include "coordinator/core/cluster.h"
#include "coordinator/core/queue_table.h"

namespace muster::coordinator::core {
namespace {

Price PriceOf(const ClusterState& state) {
  return {state.options.price_per_slot_hour, state.options.currency};
}

bool UserIsKnown(const ClusterState& state, const std::string& user) {
  return std::any_of(state.jobs.all().begin(), state.jobs.all().end(),
                     [&](const auto& entry) { return entry.second.user == user; });
}

absl::Status CheckRequest(const ClusterState& state, const v1::GetLedgerRequest& request) {
  const int named = (request.job_id() != 0 ? 1 : 0) + (request.node().empty() ? 0 : 1) +
                    (request.queue().empty() ? 0 : 1) + (request.user().empty() ? 0 : 1);
  if (named > 1) {
    return InvalidArgument(
        "ledger: of a job, a node, a queue or a user, name one; nothing means the whole cluster");
  }
  if (request.since_unix_ms() < 0 || request.until_unix_ms() < 0 ||
      (request.until_unix_ms() != 0 && request.until_unix_ms() <= request.since_unix_ms())) {
    return InvalidArgument("ledger: the time from {} to {} (Unix ms) is empty; since comes first",
                           request.since_unix_ms(), request.until_unix_ms());
  }
  if (request.job_id() != 0 && state.jobs.Find(JobId(request.job_id())) == nullptr) {
    return NotFound("ledger: there is no job {}; `muster list` shows those there are",
                    request.job_id());
  }
  if (!request.node().empty() && state.nodes.Find(NodeId(request.node())) == nullptr) {
    return NotFound("ledger: no node \"{}\" ever joined; `muster node list` shows those there are",
                    request.node());
  }
  if (!request.queue().empty() && state.queues.Find(request.queue()) == nullptr) {
    return NotFound("ledger: no queue \"{}\"; there are: {}", request.queue(),
                    state.queues.Names());
  }
  if (!request.user().empty() && !UserIsKnown(state, request.user())) {
    return NotFound("ledger: no job of user \"{}\"; `muster list -o wide` shows users",
                    request.user());
  }
  return absl::OkStatus();
}

}  // namespace

int64_t LedgerNow(const ClusterState& state) {
  return std::max(absl::ToUnixMillis(state.now), state.record_unix_ms);
}

v1::Ledger LedgerOf(const ClusterState& state, const Job& job, bool full) {
  LedgerSum sum;
  sum.Add(job, LedgerNow(state), {});
  return sum.Say(PriceOf(state), full);
}

LedgerSum SumOf(const ClusterState& state, const v1::GetLedgerRequest& request) {
  const int64_t now = LedgerNow(state);
  const NodeId node(request.node());
  LedgerCut cut;
  if (request.since_unix_ms() != 0) cut.since_ms = request.since_unix_ms();
  if (request.until_unix_ms() != 0) cut.until_ms = request.until_unix_ms();
  if (!request.node().empty()) cut.node = &node;
  LedgerSum sum;
  if (request.job_id() != 0) {
    sum.Add(*state.jobs.Find(JobId(request.job_id())), now, cut);
    return sum;
  }
  const bool everything = cut.whole() && request.queue().empty() && request.user().empty();
  if (everything) {
    sum.Add(state.ledger_of_ended);
    for (const std::set<JobId>* jobs : {&state.jobs.queued(), &state.jobs.active(),
                                        state.jobs.SetWith(v1::JOB_STATE_SUSPENDED)}) {
      for (const JobId id : *jobs) sum.Add(*state.jobs.Find(id), now, cut);
    }
    return sum;
  }
  for (const auto& [id, job] : state.jobs.all()) {
    if (!request.queue().empty() && QueueName(job.spec) != request.queue()) continue;
    if (!request.user().empty() && job.user != request.user()) continue;
    sum.Add(job, now, cut);
  }
  return sum;
}

absl::StatusOr<v1::Ledger> LedgerOf(const ClusterState& state,
                                    const v1::GetLedgerRequest& request) {
  MUSTER_RETURN_IF_ERROR(CheckRequest(state, request));
  return SumOf(state, request).Say(PriceOf(state), true);
}

absl::StatusOr<v1::GetLedgerResponse> Cluster::GetLedger(
    const v1::GetLedgerRequest& request) const {
  MUSTER_ASSIGN_OR_RETURN(v1::Ledger ledger, LedgerOf(*state_, request));
  v1::GetLedgerResponse response;
  *response.mutable_ledger() = std::move(ledger);
  return response;
}

}  // namespace muster::coordinator::core
