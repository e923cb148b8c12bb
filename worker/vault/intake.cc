#include "worker/vault/intake.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "common/status.h"
#include "worker/vault/slot_watch.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;

}  // namespace

absl::StatusOr<SlotHead> HeadOf(const SlotFile& file) {
  const std::string name = std::filesystem::path(file.path()).filename().string();
  const auto named = checkpoint::ParseSlotFileName(name);
  if (!named) return InvalidArgument("{}: no slot's name", file.path());
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::SlotContent content, file.slot().Read());
  if (content.id.rank != named->rank) {
    return DataLoss("{}: holds rank {}", file.path(), content.id.rank);
  }
  return SlotHead{content.id, named->letter, file.bytes().size(), file.slot().adopted_by(),
                  file.slot().resumes()};
}

absl::StatusOr<IncomingSlot> IncomingSlot::Begin(const std::string& folder, const SlotHead& head) {
  const std::string path = folder + "/" + head.file_name();
  if (auto there = SlotFile::Open(path); there.ok()) {
    there->slot().Release(checkpoint::kHeldByRank);  // which runs elsewhere, or not yet
    if (there->slot().held()) {
      return Unavailable("{}: step {} is still being read", path, there->slot().step());
    }
  }
  MUSTER_ASSIGN_OR_RETURN(SlotFile file, SlotFile::Reserve(path, head.bytes));
  MUSTER_RETURN_IF_ERROR(file.slot().BeginCopy());
  return IncomingSlot(head, std::move(file));
}

absl::Status IncomingSlot::Seal() {
  return Annotate(file_.slot().SealCopy(head_.id, head_.adopted_by, head_.resumes), file_.path());
}

void Intake::Forget(const std::string& job_uid) {
  own_.Forget(job_uid);
  rows_.Forget(job_uid);
}

absl::Status Intake::MayCome(const SlotHead& head, uint64_t attempt) const {
  if (!vault_.on()) return FailedPrecondition("this node keeps nothing in memory");
  MUSTER_ASSIGN_OR_RETURN(const OwnRanks own, own_.For(head.id.job_uid, attempt));
  if (own.has(head.id.rank)) {
    return FailedPrecondition("rank {} of {} runs here itself", head.id.rank, head.id.job_uid);
  }
  if (head.bytes < checkpoint::kSlotPageBytes) {
    return InvalidArgument("a slot of {} bytes", head.bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Intake::Offer(const SlotHead& head, uint64_t attempt) {
  const std::lock_guard<std::mutex> lock(mutex_);
  MUSTER_RETURN_IF_ERROR(MayCome(head, attempt));
  const std::string path = vault_.FolderOf(head.id.job_uid) + "/" + head.file_name();
  if (busy_.contains(path)) return absl::AbortedError(path + " is being written");
  absl::StatusOr<SlotFile> file = SlotFile::Open(path);
  if (file.ok()) {
    const absl::StatusOr<SlotHead> there = HeadOf(*file);
    if (there.ok() && there->id == head.id && there->bytes == head.bytes) {
      file->slot().Adopt(head.adopted_by, head.resumes);
      return true;
    }
  }
  MUSTER_RETURN_IF_ERROR(vault_.HasRoom(path, head.bytes));
  return false;
}

absl::StatusOr<std::unique_ptr<Intake::Writing>> Intake::Begin(const SlotHead& head,
                                                               uint64_t attempt) {
  const std::string folder = vault_.FolderOf(head.id.job_uid);
  const std::string path = folder + "/" + head.file_name();
  const std::lock_guard<std::mutex> lock(mutex_);
  MUSTER_RETURN_IF_ERROR(MayCome(head, attempt));
  if (busy_.contains(path)) return absl::AbortedError(path + " is being written");
  MUSTER_RETURN_IF_ERROR(vault_.HasRoom(path, head.bytes));
  MUSTER_ASSIGN_OR_RETURN(IncomingSlot slot, IncomingSlot::Begin(folder, head));
  busy_.insert(path);
  return std::make_unique<Writing>(*this, path, head, std::move(slot));
}

Intake::Writing::~Writing() {
  const std::lock_guard<std::mutex> lock(intake_.mutex_);
  intake_.busy_.erase(path_);
}

absl::Status Intake::Writing::Seal() {
  MUSTER_RETURN_IF_ERROR(slot_.Seal());
  intake_.MaybeRemoveOlder(head_);
  return absl::OkStatus();
}

void Intake::MaybeRemoveOlder(const SlotHead& head) {
  const std::string folder = vault_.FolderOf(head.id.job_uid);
  SlotHead other = head;
  other.letter = head.letter == 'a' ? 'b' : 'a';
  const absl::StatusOr<SlotFile> before = SlotFile::Open(folder + "/" + other.file_name());
  if (!before.ok()) return;
  const absl::StatusOr<SlotHead> found = HeadOf(*before);
  if (!found.ok() || found->id.attempt != head.id.attempt || found->id.step >= head.id.step) return;
  RemoveOlder(head.id.job_uid, head.id.attempt);
}

void Intake::RemoveOlder(const std::string& job_uid, uint64_t attempt) {
  const absl::StatusOr<OwnRanks> own = own_.For(job_uid, attempt);
  if (!own.ok()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::string& path : SlotsIn(vault_.FolderOf(job_uid))) {
    const absl::StatusOr<SlotFile> file = SlotFile::Open(path);
    if (!file.ok() || busy_.contains(path) || file->slot().held()) continue;
    const absl::StatusOr<SlotHead> old = HeadOf(*file);
    if (!old.ok() || own->has(old->id.rank) || old->lineage() >= attempt) continue;
    spdlog::info("{}: step {} of attempt {} is no longer needed", path, old->id.step,
                 old->id.attempt);
    std::error_code error;
    std::filesystem::remove(path, error);
  }
}

std::vector<SlotHead> Intake::List(const std::string& job_uid, uint32_t first_rank,
                                   uint32_t ranks) const {
  std::vector<SlotHead> heads;
  if (!vault_.on() || !Vault::IsPlainName(job_uid)) return heads;
  for (const std::string& path : SlotsIn(vault_.FolderOf(job_uid))) {
    const absl::StatusOr<SlotFile> file = SlotFile::Open(path);
    if (!file.ok()) continue;
    const absl::StatusOr<SlotHead> head = HeadOf(*file);
    if (!head.ok() || head->id.rank < first_rank || head->id.rank - first_rank >= ranks) continue;
    if (head->id.job_uid == job_uid) heads.push_back(*head);
  }
  return heads;
}

absl::StatusOr<SlotFile> Intake::Open(const SlotHead& head) const {
  if (!vault_.on() || !Vault::IsPlainName(head.id.job_uid)) {
    return NotFound("no slots of \"{}\"", head.id.job_uid);
  }
  return SlotFile::Open(vault_.FolderOf(head.id.job_uid) + "/" + head.file_name());
}

}  // namespace muster::worker::vault
