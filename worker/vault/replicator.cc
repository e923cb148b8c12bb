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
    GiveUp(slot, {}, job.partner.node, Annotate(head.status(), path));
  } else if (!job.partner.own.has(head->id.rank)) {
    slot.Mark(checkpoint::kSlotReplicaGivenUp);  // that rank runs elsewhere now
  } else if (slot.awaits_replica()) {
    const Answer sent = Send(*file, *head, job, folder);
    if (!IsNewest(folder, job.generation)) {
      // The next look is for the new partner.
    } else if (sent.status.ok()) {
      slot.Mark(checkpoint::kSlotReplicated);
    } else if (absl::IsOutOfRange(sent.status)) {
      slot.Mark(checkpoint::kSlotReplicaGivenUp);  // newer ones are there
    } else if (!absl::IsCancelled(sent.status)) {
      // Counted by partner: the slots after the first one do not wait for it all over again.
      const auto since = failing_.emplace(sent.address, Clock::now()).first->second;
      if (!MayWorkLater(sent.status) || Clock::now() - since >= give_up_after_) {
        GiveUp(slot, *head, sent.node, sent.status);
      }
    }
  }
  slot.Release(checkpoint::kHeldByReplication);
}

PeerVault& Replicator::PeerAt(const std::string& address) {
  std::unique_ptr<PeerVault>& peer = peers_[address];
  if (peer == nullptr) peer = dial_(address);
  return *peer;
}

Replicator::Answer Replicator::Send(const SlotFile& file, const SlotHead& head, const Job& job,
                                    const std::string& folder) {
  const auto goes_on = [&] {
    return !watch_.ending() && !NobodyWaits(file.slot()) && IsNewest(folder, job.generation);
  };
  const auto begin = Clock::now();
  const Partner& partner = job.partner;
  Answer answer{partner.node, partner.address, absl::OkStatus()};
  if (partner.group.empty()) {
    answer.status = SendCopy(file, head, job, goes_on);
    if (answer.status.ok()) failing_.erase(partner.address);
  } else {
    answer = SendChunks(file, head, job, goes_on);
  }
  if (!answer.status.ok()) return answer;
  const std::chrono::duration<double> seconds = Clock::now() - begin;
  spdlog::debug("{}: step {}, {} MB sent in {:.3f} s", file.path(), head.id.step, head.bytes >> 20,
                seconds.count());
  said_.clear();
  return answer;
}

absl::Status Replicator::SendCopy(const SlotFile& file, const SlotHead& head, const Job& job,
                                  const std::function<bool()>& goes_on) {
  PeerVault& peer = PeerAt(job.partner.address);
  const uint64_t attempt = job.partner.own.attempt;
  MUSTER_ASSIGN_OR_RETURN(const bool there, peer.Offer(head, attempt));
  return there ? absl::OkStatus() : peer.Put(head, attempt, file, goes_on);
}

Replicator::Answer Replicator::SendChunks(const SlotFile& file, const SlotHead& head,
                                          const Job& job, const std::function<bool()>& goes_on) {
  const Partner& partner = job.partner;
  Answer worst;
  for (const ChunkOffer& offer : ChunkOffers(head, partner.group, partner.own.attempt, file)) {
    const ParityMember& member = partner.group[offer.holder];
    absl::Status sent = SendChunk(PeerAt(member.address), offer, file, goes_on);
    if (absl::IsCancelled(sent)) return {member.node, member.address, std::move(sent)};
    if (sent.ok()) failing_.erase(member.address);
    if (sent.ok() || (!worst.status.ok() && MayWorkLater(worst.status))) continue;
    worst = {member.node, member.address, std::move(sent)};
  }
  return worst;
}

void Replicator::GiveUp(checkpoint::RamSlot& slot, const SlotHead& head, const std::string& node,
                        const absl::Status& why) {
  slot.Mark(checkpoint::kSlotReplicaGivenUp);
  const std::string text(why.message());
  if (text == said_) return;
  spdlog::warn(
      "step {} of rank {} is not safe on {}: {}; should a node of this job be lost, its ranks go "
      "on from storage",
      head.id.step, head.id.rank, node, text);
  said_ = text;
}

}  // namespace muster::worker::vault
