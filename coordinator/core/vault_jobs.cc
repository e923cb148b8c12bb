// Which jobs' checkpoints a node need not keep in its memory any longer.
#include <charconv>
#include <string>

#include "coordinator/core/handlers.h"

namespace muster::coordinator::core {
namespace {

// A uid is NAME-ID-CLUSTER; no dash is in the last two.
const Job* FindByUid(const JobTable& jobs, const std::string& uid) {
  const size_t last = uid.rfind('-');
  if (last == std::string::npos || last == 0) return nullptr;
  const size_t before = uid.rfind('-', last - 1);
  if (before == std::string::npos) return nullptr;
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(uid.data() + before + 1, uid.data() + last, id);
  if (error != std::errc() || end != uid.data() + last) return nullptr;
  const Job* job = jobs.Find(JobId(id));
  return job != nullptr && job->uid == uid ? job : nullptr;
}

// A job that was made to give way has saved to storage, and its nodes need the room.
bool MayGoOnFromMemory(const Job& job) { return !job.ended() && !job.suspended && !job.requeued; }

}  // namespace

void OnVaultJobs(Turn& turn, const Node& node, const v1::WorkerHeartbeat& heartbeat) {
  v1::CoordinatorMessage message;
  for (const std::string& uid : heartbeat.vault_jobs()) {
    const Job* job = FindByUid(turn.state().jobs, uid);
    if (job == nullptr || !MayGoOnFromMemory(*job)) message.mutable_drop_vault()->add_job_uids(uid);
  }
  if (message.has_drop_vault()) turn.Send(node, std::move(message));
}

}  // namespace muster::coordinator::core
