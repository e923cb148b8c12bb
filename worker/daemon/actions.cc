// How each action of the core is done.
#include <chrono>
#include <filesystem>
#include <utility>

#include "common/status.h"
#include "spdlog/spdlog.h"
#include "spec/checkpoints.h"
#include "worker/daemon/worker.h"
#include "worker/rpc/exchange_call.h"
#include "worker/shim/cleanup.h"
#include "worker/shim/client.h"

namespace muster::worker::daemon {
namespace {

constexpr std::chrono::milliseconds kCleanAgain{500};
constexpr int kCleanTriesMax = 20;

// The address ranks on other nodes reach this node at; empty when it is one host only.
std::string HostAddress(const Options& options) {
  if (!options.advertise.empty()) return options.advertise;
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  const bool local = host == "127.0.0.1" || host == "localhost" || host == "[::1]";
  return local || host == "0.0.0.0" || host == "[::]" ? "" : host;
}

vault::OwnRanks OwnRanksOf(const v1::StartRanks& start) {
  return {start.attempt(), start.share().first_rank(), start.share().ranks()};
}

std::vector<vault::SlotSource> SourcesOf(
    const google::protobuf::RepeatedPtrField<v1::SlotSource>& messages) {
  std::vector<vault::SlotSource> sources;
  for (const v1::SlotSource& source : messages) {
    sources.push_back({source.node(), source.peer_address(), source.first_rank(), source.ranks()});
  }
  return sources;
}

}  // namespace

void Worker::Do(const core::RecordEpoch& action) {
  if (const absl::Status status = state_.RecordEpoch(action.epoch.value(), action.nonce);
      !status.ok()) {
    result_ = Annotate(status, "record the coordinator's epoch before obeying it");
    *ended_ = true;
  }
}

void Worker::Do(const core::RecordClusterId& action) {
  if (const absl::Status status = state_.RecordClusterId(action.cluster_id); !status.ok()) {
    result_ = Annotate(status, "record the cluster this worker belongs to");
    *ended_ = true;
  }
}

void Worker::Do(core::SendToCoordinator& action) { link_->Send(std::move(action.message)); }

void Worker::Do(const core::DropStream&) { link_->Drop(); }

void Worker::Do(const core::EndWorker& action) {
  result_ = FailedPrecondition("{}", action.reason);
  *ended_ = true;
}

void Worker::Do(const core::SpawnShim& action) {
  v1::ShimOrder order;
  *order.mutable_start() = action.start;
  order.set_node(options_.node);
  order.set_log_dir(state_.logs() + "/" + action.start.job_uid() + "/" +
                    std::to_string(action.key.attempt.value()));
  order.set_log_bytes_max(options_.log_bytes_max);
  order.set_orphan_grace_ms(options_.orphan_grace_ms);
  order.set_trainer_path(options_.trainer);
  order.set_host_address(HostAddress(options_));
  AddVault(action.start, &order);
  const auto pid = shim::StartShim(options_.shim, state_.AttemptFolder(action.key), order);
  if (!pid.ok()) {
    return Feed(core::SpawnFailed{action.key, std::string(pid.status().message())});
  }
  Watch(action.key, *pid);
}

void Worker::Do(const core::SendToShim& action) {
  const auto link = shims_.find(action.key);
  if (link != shims_.end()) link->second->Send(action.message);
}

// Killing and waiting takes its time: on a thread of its own.
void Worker::Do(const core::CleanUp& action) {
  cleaners_.emplace_back([mailbox = mailbox_, ended = ended_, this, key = action.key,
                          folder = state_.AttemptFolder(action.key)] {
    absl::Status status = shim::CleanUpAttempt(folder);
    for (int tries = 1; !status.ok() && tries < kCleanTriesMax && !*ended; ++tries) {
      spdlog::error("attempt {}: clean up: {}; trying again", core::AttemptName(key),
                    std::string(status.message()));
      std::this_thread::sleep_for(kCleanAgain);
      status = shim::CleanUpAttempt(folder);
    }
    if (!status.ok()) return;  // never said to be stopped: the node needs a person
    core::CleanedUp cleaned{key, {}};
    if (auto last = shim::LastReport(folder); last.ok()) cleaned.last = *std::move(last);
    mailbox->Post([this, cleaned = std::move(cleaned)] { Feed(cleaned); });
  });
}

void Worker::Do(const core::RemoveFolder& action) {
  shims_.erase(action.key);
  const std::string folder = state_.AttemptFolder(action.key);
  // A shim that died right after its last report has left its traces, and only the folder knows
  // them.
  if (const absl::Status cleaned = shim::CleanUpAttempt(folder); !cleaned.ok()) {
    spdlog::warn("attempt {}: {}; it is tried again at the next start",
                 core::AttemptName(action.key), std::string(cleaned.message()));
    return;
  }
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) {
    spdlog::warn("attempt {}: remove its folder: {}; it is tried again at the next start",
                 core::AttemptName(action.key), error.message());
  }
}

void Worker::Do(const core::OpenExchange& action) { board_->Open(action.key, action.nodes); }

void Worker::Do(const core::CloseExchange& action) { board_->Close(action.key); }

void Worker::Do(const core::ExchangeOver& action) {
  board_->Over(action.key, action.over.key(),
               {action.over.blobs().begin(), action.over.blobs().end()});
}

void Worker::Do(const core::CallExchange& action) {
  auto answer = [mailbox = mailbox_, this, key = action.key, name = action.request.key()](
                    const absl::Status& status, const v1::ExchangeResponse& response) {
    core::ExchangeDone done{key, {}};
    done.result.set_key(name);
    if (status.ok()) {
      *done.result.mutable_blobs() = response.blobs();
    } else {
      done.result.set_error(std::string(status.message()));
    }
    mailbox->Post([this, done = std::move(done)] { Feed(done); });
  };
  if (action.here) {
    rpc::JoinExchangeHere(board_, action.request, std::move(answer));
  } else {
    rpc::CallExchange(action.peer_address, action.request, std::move(answer));
  }
}

void Worker::Do(const core::PublishRanks& action) { live_ranks_->Publish(action.key, action.live); }

// Ranks without room in the vault save to storage alone.
void Worker::AddVault(const v1::StartRanks& start, v1::ShimOrder* order) {
  v1::GangOrder gang;
  if (!vault_.on() || start.share().ranks() == 0 || !gang.ParseFromString(start.gang())) return;
  if (!spec::KeepsCheckpoints(gang.spec())) return;
  if (const absl::Status added = vault_.Add(start.job_uid()); !added.ok()) {
    return spdlog::warn("job {}: no checkpoints in memory: {}", start.job_uid(),
                        std::string(added.message()));
  }
  const auto slots = static_cast<uint32_t>(start.share().slots_size());
  order->set_vault_folder(vault_.FolderOf(start.job_uid()));
  order->set_vault_rank_bytes(vault_.RankBytes(slots / start.share().ranks()));
  order->set_vault_drains(true);
  order->set_vault_replicates(!start.replica_address().empty() || !start.parity_group().empty());
  KeepSlotsOf(start);
  vault::FetchOrder fetch{.folder = order->vault_folder(),
                          .job_uid = start.job_uid(),
                          .world_size = start.world_size(),
                          .since = gang.slots_since(),
                          .own = OwnRanksOf(start),
                          .sources = SourcesOf(start.slot_sources()),
                          .parity = SourcesOf(start.parity_sources())};
  fetcher_.Begin(std::move(fetch));
  TellVault();
}

// The slots of an attempt that runs here: to storage, to its partners, and no copy over them.
void Worker::KeepSlotsOf(const v1::StartRanks& start) {
  const std::string folder = vault_.FolderOf(start.job_uid());
  intake_->SetOwn(start.job_uid(), OwnRanksOf(start));
  drainer_.Watch(folder);
  vault::Replicator::Partner partner{start.replica_node(), start.replica_address(),
                                     OwnRanksOf(start)};
  for (const v1::SlotSource& member : start.parity_group()) {
    partner.group.push_back(
        {member.node(), member.peer_address(), {member.first_rank(), member.ranks()}});
  }
  if (partner.address.empty() && partner.group.empty()) return replicator_.Forget(folder);
  replicator_.Watch(folder, partner);
}

void Worker::Do(const core::DropVault& action) {
  spdlog::info("job {} is over: its checkpoints in memory are removed", action.job_uid);
  drainer_.Forget(vault_.FolderOf(action.job_uid));
  replicator_.Forget(vault_.FolderOf(action.job_uid));
  intake_->Forget(action.job_uid);
  if (const absl::Status removed = vault_.Remove(action.job_uid); !removed.ok()) {
    spdlog::warn("{}; trying again", std::string(removed.message()));
  }
  TellVault();
}

void Worker::Do(const core::StartTest& action) { self_test_.Start(action.test); }

void Worker::Do(const core::Note& action) {
  if (action.warning) {
    spdlog::warn("{}", action.text);
  } else {
    spdlog::info("{}", action.text);
  }
}

}  // namespace muster::worker::daemon
