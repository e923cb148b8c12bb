#include "worker/vault/parity_rows.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "checkpoint/digest.h"
#include "common/status.h"

namespace muster::worker::vault {
namespace {

constexpr uint32_t kPlacesMax = 65'536;

uint32_t PlaceOf(const ChunkOffer& offer) {
  const size_t member = *MemberOf(offer.group, offer.slot.id.rank);
  return offer.slot.id.rank - offer.group[member].first_rank;
}

}  // namespace

struct ParityRows::Filling {
  std::mutex mutex;  // of what follows
  RowFile file;
  RowHead head;
  std::vector<uint64_t> taken;  // bytes of each chunk
  bool over = false;            // whole, or another one has its place
  absl::Status broken;          // it could not be written to: what is in it is worth nothing

  bool Is(const ChunkOffer& offer) const {
    return head.attempt == offer.slot.id.attempt && head.step == offer.slot.id.step &&
           head.group == offer.group && head.holder == offer.holder;
  }
  std::optional<size_t> ChunkOfRank(uint32_t rank) const {
    for (size_t i = 0; i < head.chunks.size(); ++i) {
      if (head.chunks[i].slot.id.rank == rank) return i;
    }
    return std::nullopt;
  }
  // Nobody gives to it any more then.
  bool BecomesWhole() {
    if (over || head.chunks.size() != RanksAt(head.group, head.holder, head.place).size())
      return false;
    for (size_t i = 0; i < head.chunks.size(); ++i) {
      const SlotHead& slot = head.chunks[i].slot;
      const size_t from = *MemberOf(head.group, slot.id.rank);
      if (taken[i] < ChunkOf(slot.bytes, head.group.size(), from, head.holder).size()) {
        return false;
      }
    }
    return over = true;
  }
};

void ParityRows::Forget(const std::string& job_uid) {
  const std::string folder = vault_.FolderOf(job_uid) + "/";
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(filling_, [&](const auto& one) { return one.first.starts_with(folder); });
}

absl::Status ParityRows::Check(const ChunkOffer& offer) const {
  if (!vault_.on()) return FailedPrecondition("this node keeps nothing in memory");
  const SlotHead& slot = offer.slot;
  MUSTER_ASSIGN_OR_RETURN(const OwnRanks own, own_.For(slot.id.job_uid, offer.attempt));
  if (!Vault::IsPlainName(slot.id.job_uid) ||
      slot.id.job_uid.size() > checkpoint::kSlotUidBytesMax) {
    return InvalidArgument("parity of a job named \"{}\"", slot.id.job_uid);
  }
  const std::optional<size_t> from = MemberOf(offer.group, slot.id.rank);
  if (!IsGroup(offer.group) || !from || offer.holder >= offer.group.size() ||
      *from == offer.holder || PlaceOf(offer) >= kPlacesMax) {
    return InvalidArgument("parity of rank {} for member {} of a group of {}", slot.id.rank,
                           offer.holder, offer.group.size());
  }
  if (offer.group[offer.holder] != RankRun{own.first_rank, own.ranks}) {
    return FailedPrecondition("ranks {} to {} of {} run here, not those of member {} of the group",
                              own.first_rank, own.first_rank + own.ranks - 1, slot.id.job_uid,
                              offer.holder);
  }
  if (slot.bytes < checkpoint::kSlotPageBytes) {
    return InvalidArgument("parity of a slot of {} bytes", slot.bytes);
  }
  return absl::OkStatus();
}

std::string ParityRows::PathOf(const ChunkOffer& offer, char letter) const {
  return vault_.FolderOf(offer.slot.id.job_uid) + "/" + RowFileName(PlaceOf(offer), letter);
}

std::shared_ptr<ParityRows::Filling> ParityRows::Find(const std::string& path,
                                                      const ChunkOffer& offer) const {
  const auto found = filling_.find(path);
  if (found == filling_.end() || !found->second->Is(offer)) return nullptr;
  return found->second;
}

// Which of the two files, and what becomes of the row in it. Under the lock.
absl::StatusOr<std::shared_ptr<ParityRows::Filling>> ParityRows::BeginRow(const ChunkOffer& offer) {
  const checkpoint::SlotId& id = offer.slot.id;
  // Kept, whole, for which attempt, of which step: the least is the next to go.
  using Rank = std::tuple<bool, bool, uint64_t, Key>;
  std::array<Rank, 2> ranks;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const std::string path = PathOf(offer, checkpoint::kSlotLetters[i]);
    const auto filling = filling_.find(path);
    absl::StatusOr<RowHead> read = absl::NotFoundError("");
    if (filling == filling_.end()) {
      if (const absl::StatusOr<RowFile> file = RowFile::Open(path); file.ok()) read = file->Read();
      if (!read.ok()) continue;
    }
    const RowHead& head = read.ok() ? *read : filling->second->head;
    const Key key(head.attempt, head.step);
    if (head.kept_for == offer.attempt && key > Key(id.attempt, id.step)) {
      return absl::OutOfRangeError(
          fmt::format("step {} of rank {}: step {} has come", id.step, id.rank, head.step));
    }
    const bool beside =
        head.group == offer.group && key == Key(offer.beside_attempt, offer.beside_step);
    ranks[i] = {beside, read.ok(), head.kept_for, key};
  }
  const size_t chosen = ranks[1] < ranks[0] ? 1 : 0;
  const char letter = checkpoint::kSlotLetters[chosen];
  const std::string path = PathOf(offer, letter);
  MUSTER_RETURN_IF_ERROR(vault_.HasRoom(path, kRowHeaderBytes + offer.chunk().size()));
  if (const auto before = filling_.find(path); before != filling_.end()) {
    const std::lock_guard<std::mutex> lock(before->second->mutex);
    before->second->over = true;
  }
  filling_.erase(path);
  auto row = std::make_shared<Filling>();
  MUSTER_ASSIGN_OR_RETURN(row->file, RowFile::Make(path));
  MUSTER_RETURN_IF_ERROR(row->file.Begin());
  row->head = {.job_uid = id.job_uid,
               .place = PlaceOf(offer),
               .letter = letter,
               .attempt = id.attempt,
               .step = id.step,
               .group = offer.group,
               .holder = offer.holder,
               .chunks = {},
               .bytes = 0,
               .kept_for = offer.attempt};
  filling_[path] = row;
  return row;
}

absl::StatusOr<uint64_t> ParityRows::Offer(const ChunkOffer& offer) {
  MUSTER_RETURN_IF_ERROR(Check(offer));
  const SlotHead& slot = offer.slot;
  const auto other = [&slot](const SlotHead& before) {
    return FailedPrecondition("step {} of rank {} was given before, {} bytes of another save",
                              slot.id.step, slot.id.rank, before.bytes);
  };
  const auto is_it = [&slot](const SlotHead& before) {
    return before.id == slot.id && before.bytes == slot.bytes;
  };
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<Filling> row;
  for (const char letter : checkpoint::kSlotLetters) {
    const std::string path = PathOf(offer, letter);
    row = Find(path, offer);
    if (row != nullptr) break;
    if (filling_.contains(path)) continue;
    absl::StatusOr<RowFile> file = RowFile::Open(path);
    if (!file.ok()) continue;
    const absl::StatusOr<RowHead> head = file->Read();
    if (!head.ok() || head->attempt != slot.id.attempt || head->step != slot.id.step ||
        head->group != offer.group || head->holder != offer.holder) {
      continue;
    }
    for (size_t i = 0; i < head->chunks.size(); ++i) {
      const SlotHead& before = head->chunks[i].slot;
      if (before.id.rank != slot.id.rank) continue;
      if (!is_it(before)) return other(before);
      MUSTER_RETURN_IF_ERROR(file->Adopt(i, slot.adopted_by, slot.resumes));
      MUSTER_RETURN_IF_ERROR(file->KeepFor(offer.attempt));
      return offer.chunk().size();
    }
  }
  if (row == nullptr) {
    MUSTER_ASSIGN_OR_RETURN(row, BeginRow(offer));
  }
  bool whole = false;
  {
    const std::lock_guard<std::mutex> row_lock(row->mutex);
    MUSTER_RETURN_IF_ERROR(row->broken);
    row->head.kept_for = offer.attempt;
    const std::optional<size_t> given = row->ChunkOfRank(slot.id.rank);
    if (given) {
      RowChunk& chunk = row->head.chunks[*given];
      if (!is_it(chunk.slot)) return other(chunk.slot);
      chunk.slot.adopted_by = slot.adopted_by;
      chunk.slot.resumes = slot.resumes;
      return row->taken[*given];
    }
    const uint64_t bytes = std::max(row->head.bytes, offer.chunk().size());
    MUSTER_RETURN_IF_ERROR(vault_.HasRoom(row->file.path(), kRowHeaderBytes + bytes));
    row->head.chunks.push_back({slot, 0});
    row->taken.push_back(0);
    whole = row->BecomesWhole();  // of a chunk without bytes
  }
  if (whole) MUSTER_RETURN_IF_ERROR(SealLocked(*row).status());
  return 0;
}

absl::Status ParityRows::Take(const ChunkOffer& offer, uint64_t offset,
                              std::span<const std::byte> data) {
  MUSTER_RETURN_IF_ERROR(Check(offer));
  std::shared_ptr<Filling> row;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const char letter : checkpoint::kSlotLetters) {
      row = Find(PathOf(offer, letter), offer);
      if (row != nullptr) break;
    }
  }
  const auto refused = [&](const char* why) {
    return absl::AbortedError(fmt::format("{} bytes at {} of step {} of rank {}: {}", data.size(),
                                          offset, offer.slot.id.step, offer.slot.id.rank, why));
  };
  if (row == nullptr) return refused("there is no such row, or it is whole");
  bool whole = false;
  {
    const std::lock_guard<std::mutex> lock(row->mutex);
    const std::optional<size_t> given = row->ChunkOfRank(offer.slot.id.rank);
    MUSTER_RETURN_IF_ERROR(row->broken);
    if (row->over || !given) return refused("its row is gone");
    RowChunk& chunk = row->head.chunks[*given];
    if (chunk.slot.bytes != offer.slot.bytes) return refused("it was offered with another size");
    if (offset != row->taken[*given] || data.size() > offer.chunk().size() - offset) {
      return refused("not the next ones");
    }
    // What nobody wrote to in this row is another row's; so only the rest is added to.
    const uint64_t there = std::clamp(row->head.bytes, offset, offset + data.size()) - offset;
    std::vector<std::byte> mixed(there);
    MUSTER_RETURN_IF_ERROR(row->file.ReadAt(offset, mixed));
    checkpoint::XorBytes(mixed, data.first(there));
    // From here on a failure leaves the row with neither the old bytes nor the new ones.
    absl::Status written = row->file.WriteAt(offset, mixed);
    if (written.ok()) written = row->file.WriteAt(offset + there, data.subspan(there));
    if (!written.ok()) return row->broken = written;
    row->head.bytes = std::max(row->head.bytes, offset + data.size());
    row->taken[*given] += data.size();
    chunk.crc32c = checkpoint::Crc32c(chunk.crc32c, data);
    whole = row->BecomesWhole();
  }
  if (!whole) return absl::OkStatus();
  bool second = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (Find(row->file.path(), offer) != row) return refused("its row is gone");
    MUSTER_ASSIGN_OR_RETURN(second, SealLocked(*row));
  }
  if (second) on_second_(offer.slot.id.job_uid, offer.slot.id.attempt);
  return absl::OkStatus();
}

// True: the other row of this place is whole too, and of an older step of the same attempt.
absl::StatusOr<bool> ParityRows::SealLocked(Filling& row) {
  RowHead head = row.head;
  std::sort(head.chunks.begin(), head.chunks.end(),
            [](const RowChunk& a, const RowChunk& b) { return a.slot.id.rank < b.slot.id.rank; });
  if (const absl::Status sealed = row.file.Seal(head); !sealed.ok()) return row.broken = sealed;
  const std::string folder = vault_.FolderOf(head.job_uid) + "/";
  const char letter = head.letter == 'a' ? 'b' : 'a';
  const absl::StatusOr<RowFile> other = RowFile::Open(folder + RowFileName(head.place, letter));
  bool second = false;
  if (other.ok()) {
    const absl::StatusOr<RowHead> before = other->Read();
    second = before.ok() && before->attempt == head.attempt && before->step < head.step;
  }
  filling_.erase(row.file.path());  // the last, for the row may go with it
  return second;
}

std::vector<RowHead> ParityRows::List(const std::string& job_uid) const {
  std::vector<RowHead> rows;
  if (!vault_.on() || !Vault::IsPlainName(job_uid)) return rows;
  for (const std::string& path : RowsIn(vault_.FolderOf(job_uid))) {
    const absl::StatusOr<RowFile> file = RowFile::Open(path);
    if (!file.ok()) continue;
    absl::StatusOr<RowHead> head = file->Read();
    if (head.ok() && head->job_uid == job_uid) rows.push_back(*std::move(head));
  }
  return rows;
}

absl::StatusOr<RowFile> ParityRows::Open(const RowHead& row) const {
  if (!vault_.on() || !Vault::IsPlainName(row.job_uid)) {
    return NotFound("no parity of \"{}\"", row.job_uid);
  }
  MUSTER_ASSIGN_OR_RETURN(RowFile file,
                          RowFile::Open(vault_.FolderOf(row.job_uid) + "/" + row.file_name()));
  MUSTER_ASSIGN_OR_RETURN(const RowHead there, file.Read());
  if (there.attempt != row.attempt || there.step != row.step) {
    return NotFound("{}: holds step {} now", file.path(), there.step);
  }
  return file;
}

}  // namespace muster::worker::vault
