#include "worker/vault/replicator.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "common/status.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;
using Clock = std::chrono::steady_clock;

bool MayWorkLater(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
}

bool NobodyWaits(const checkpoint::RamSlot& slot) {
  return (slot.marks() & checkpoint::kSlotReplicaGivenUp) != 0;
}

}  // namespace

Replicator::~Replicator() { watch_.End(); }

absl::Status Replicator::Start() {
  return watch_.Start([this](const std::string& path) { LookAt(path); });
}

void Replicator::Watch(const std::string& folder, const Partner& partner) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_[folder] = {partner, ++generations_};
  }
  watch_.Watch(folder);
}

void Replicator::Forget(const std::string& folder) {
  watch_.Forget(folder);
  const std::lock_guard<std::mutex> lock(mutex_);
  jobs_.erase(folder);
}

bool Replicator::IsNewest(const std::string& folder, uint64_t generation) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto job = jobs_.find(folder);
  return job != jobs_.end() && job->second.generation == generation;
}

void Replicator::LookAt(const std::string& path) {
  absl::StatusOr<SlotFile> file = SlotFile::Open(path);
  if (!file.ok() || !file->slot().awaits_replica()) return;
  const std::string folder = std::filesystem::path(path).parent_path().string();
  Job job;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = jobs_.find(folder);
    if (found == jobs_.end()) return;
    job = found->second;
  }
  checkpoint::RamSlot& slot = file->slot();
  if (!slot.Hold(checkpoint::kHeldByReplication)) return;
  const absl::StatusOr<SlotHead> head = HeadOf(*file);
  if (!head.ok()) {
    GiveUp(slot, {}, job, Annotate(head.status(), path));
  } else if (!job.partner.own.has(head->id.rank)) {
    slot.Mark(checkpoint::kSlotReplicaGivenUp);  // that rank runs elsewhere now
  } else if (slot.awaits_replica()) {
    const absl::Status sent = Send(*file, *head, job, folder);
    if (!IsNewest(folder, job.generation)) {
      // The next look is for the new partner.
    } else if (sent.ok()) {
      failing_.erase(job.partner.address);
      slot.Mark(checkpoint::kSlotReplicated);
    } else if (!absl::IsCancelled(sent)) {
      // Counted by partner: the slots after the first one do not wait for it all over again.
      const auto since = failing_.emplace(job.partner.address, Clock::now()).first->second;
      if (!MayWorkLater(sent) || Clock::now() - since >= give_up_after_) {
        GiveUp(slot, *head, job, sent);
      }
    }
  }
  slot.Release(checkpoint::kHeldByReplication);
}

absl::Status Replicator::Send(const SlotFile& file, const SlotHead& head, const Job& job,
                              const std::string& folder) {
  std::unique_ptr<PeerVault>& peer = peers_[job.partner.address];
  if (peer == nullptr) peer = dial_(job.partner.address);
  const uint64_t attempt = job.partner.own.attempt;
  MUSTER_ASSIGN_OR_RETURN(const bool there, peer->Offer(head, attempt));
  if (there) return absl::OkStatus();
  const auto begin = Clock::now();
  MUSTER_RETURN_IF_ERROR(peer->Put(head, attempt, file, [&] {
    return !watch_.ending() && !NobodyWaits(file.slot()) && IsNewest(folder, job.generation);
  }));
  const std::chrono::duration<double> seconds = Clock::now() - begin;
  spdlog::debug("{}: step {}, {} MB copied to {} in {:.3f} s", file.path(), head.id.step,
                head.bytes >> 20, job.partner.node, seconds.count());
  said_.clear();
  return absl::OkStatus();
}

void Replicator::GiveUp(checkpoint::RamSlot& slot, const SlotHead& head, const Job& job,
                        const absl::Status& why) {
  slot.Mark(checkpoint::kSlotReplicaGivenUp);
  const std::string text(why.message());
  if (text == said_) return;
  spdlog::warn(
      "step {} of rank {} has no copy on {}: {}; should this node be lost, its ranks go on from "
      "storage",
      head.id.step, head.id.rank, job.partner.node, text);
  said_ = text;
}

}  // namespace muster::worker::vault
