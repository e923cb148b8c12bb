#include "trainer/loop/ram_resume.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "checkpoint/shard.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/parallel/flat_range.h"

namespace muster::trainer::loop {
namespace {

using checkpoint::CheckpointId;
using checkpoint::ShardDigest;
using parallel::Interval;
using rank::Agree;
using rank::Console;
using rank::FoundSlot;
using rank::FromFirst;
using rank::RankSlots;
using rank::SaidByAll;
using rank::Section;

// What one rank tells of one of its slots.
struct Offer {
  uint64_t attempt = 0;
  uint64_t step = 0;

  auto operator<=>(const Offer&) const = default;  // newest attempt last
};

template <typename Part>
std::vector<Part> PartsOf(const std::vector<std::byte>& bytes) {
  std::vector<Part> parts(bytes.size() / sizeof(Part));
  if (!parts.empty()) std::memcpy(parts.data(), bytes.data(), parts.size() * sizeof(Part));
  return parts;
}

// Restores this rank's state from slots.
class Restore {
 public:
  Restore(const RestoreTarget& target, RankGroups& groups)
      : target_(target),
        groups_(groups),
        own_(OwnedSections(target.table, target.plan, target.params, target.optimizer)) {
    std::vector<checkpoint::Box> boxes;
    for (const Section& section : own_) boxes.push_back(section.box);
    auto layout = checkpoint::LayOutShard(
        checkpoint::WriterName(static_cast<uint64_t>(groups.world->rank())), boxes);
    if (layout.ok()) layout_ = *std::move(layout);
  }

  bool Fits(const ShardDigest& digest) const { return digest.pieces == layout_.pieces; }

  void CopyOwn(std::span<const std::byte> image) {
    for (size_t i = 0; i < layout_.pieces.size(); ++i) {
      const checkpoint::Piece& piece = layout_.pieces[i];
      const std::span<std::byte> bytes = own_[layout_.source[i]].bytes;
      if (!bytes.empty()) std::memcpy(bytes.data(), image.data() + piece.begin, bytes.size());
    }
  }

  absl::Status TakeFromOthers() {
    MUSTER_RETURN_IF_ERROR(TakeReplicated());
    return TakeShares();
  }

 private:
  // What every tensor rank has alike is in tensor rank 0's slot.
  absl::Status TakeReplicated() {
    if (groups_.tensor->size() == 1) return absl::OkStatus();
    for (const Interval& own : target_.plan.OwnIntervals()) {
      for (const parallel::Piece& piece : parallel::PiecesOfRange(target_.table, own)) {
        if (!piece.replicated) continue;
        const Interval place{piece.flat_begin, piece.flat_begin + piece.count};
        for (const std::span<float> floats :
             {target_.params.subspan(piece.flat_begin, piece.count),
              target_.optimizer.ExpAvg(place), target_.optimizer.ExpAvgSq(place)}) {
          MUSTER_RETURN_IF_ERROR(groups_.tensor->Broadcast(std::as_writable_bytes(floats), 0));
        }
      }
    }
    return absl::OkStatus();
  }

  // The other shares of the data group: parameters always, moments where everyone holds them all.
  absl::Status TakeShares() {
    if (groups_.data->size() == 1) return absl::OkStatus();
    const optim::Packed& updated = target_.optimizer.updated();
    for (size_t b = 0; b < target_.table.buckets.size(); ++b) {
      const Interval bucket = target_.table.buckets[b];
      MUSTER_RETURN_IF_ERROR(Gather(b, target_.params.subspan(bucket.begin, bucket.count())));
      if (updated.intervals[b] != bucket) continue;
      MUSTER_RETURN_IF_ERROR(Gather(b, target_.optimizer.ExpAvg(bucket)));
      MUSTER_RETURN_IF_ERROR(Gather(b, target_.optimizer.ExpAvgSq(bucket)));
    }
    return absl::OkStatus();
  }

  absl::Status Gather(size_t b, std::span<float> bucket) {
    const Interval own = target_.plan.Own(b);
    const size_t begin = own.begin - target_.table.buckets[b].begin;
    return groups_.data->AllGather(bucket.subspan(begin, own.count()), bucket,
                                   target_.plan.Counts(b));
  }

  const RestoreTarget& target_;
  RankGroups& groups_;
  std::vector<Section> own_;
  checkpoint::ShardLayout layout_;
};

bool MayGoOnFrom(const Offer& offer, const std::vector<uint64_t>& stored) {
  return offer.step > stored[0] && offer.attempt >= stored[1];
}

// The steps every rank offers, newest attempt first, then newest step.
absl::StatusOr<std::vector<Offer>> CommonOffers(const std::vector<Offer>& mine,
                                                std::optional<CheckpointId> stored,
                                                RankGroups& groups) {
  std::vector<uint64_t> newest = {0, 0};
  if (groups.first() && stored.has_value()) newest = {stored->step, stored->attempt};
  MUSTER_RETURN_IF_ERROR(
      groups.world->Broadcast(std::as_writable_bytes(std::span<uint64_t>(newest)), 0));
  MUSTER_ASSIGN_OR_RETURN(
      const std::vector<std::vector<std::byte>> all,
      groups.world->AllGatherBytes(std::as_bytes(std::span<const Offer>(mine))));
  std::set<Offer> common;
  for (const Offer& offer : PartsOf<Offer>(all.front())) {
    if (MayGoOnFrom(offer, newest)) common.insert(offer);
  }
  for (const std::vector<std::byte>& bytes : all) {
    const std::vector<Offer> theirs = PartsOf<Offer>(bytes);
    std::erase_if(common, [&](const Offer& offer) {
      return std::find(theirs.begin(), theirs.end(), offer) == theirs.end();
    });
  }
  return std::vector<Offer>(common.rbegin(), common.rend());
}

// One manifest out of all ranks' slots: proof that together they are the whole state.
absl::StatusOr<checkpoint::Manifest> JoinManifest(const FoundSlot& slot, RankGroups& groups) {
  const std::string text = checkpoint::SerializeDigest(slot.content.digest);
  MUSTER_ASSIGN_OR_RETURN(
      const std::vector<std::vector<std::byte>> all,
      groups.world->AllGatherBytes(std::as_bytes(std::span(text.data(), text.size()))));
  MUSTER_ASSIGN_OR_RETURN(const std::string run,
                          FromFirst(*groups.world, checkpoint::RunStateText(slot.content.run)));
  absl::StatusOr<checkpoint::Manifest> manifest = checkpoint::Manifest();
  std::vector<ShardDigest> digests;
  for (const std::vector<std::byte>& bytes : all) {
    auto digest =
        checkpoint::ParseDigest({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!digest.ok()) manifest = digest.status();
    if (manifest.ok()) digests.push_back(*std::move(digest));
  }
  if (manifest.ok() && run != checkpoint::RunStateText(slot.content.run)) {
    manifest = DataLoss("its run state is not rank 0's");
  }
  if (manifest.ok()) {
    const checkpoint::SlotId& id = slot.content.id;
    manifest =
        checkpoint::BuildManifest(id.step, id.attempt, id.job_uid, slot.content.run, digests);
  }
  MUSTER_RETURN_IF_ERROR(Agree(*groups.world, manifest.status()));
  return manifest;
}

}  // namespace

absl::StatusOr<std::optional<RamResumed>> LoadFromSlots(const RankSlots& slots, uint64_t attempt,
                                                        std::optional<CheckpointId> stored,
                                                        const RestoreTarget& target,
                                                        RankGroups& groups,
                                                        const Console& console) {
  Restore restore(target, groups);
  std::vector<std::string> damaged;
  std::vector<FoundSlot> found = slots.Find(&damaged);
  for (const std::string& line : damaged) {
    console.problem(fmt::format("rank {}: not gone on from: {}", groups.world->rank(), line));
  }
  std::vector<Offer> mine;
  for (const FoundSlot& slot : found) {
    const checkpoint::SlotId& id = slot.content.id;
    const checkpoint::RamSlot& memory = slot.file.slot();
    const uint64_t lineage = std::max(id.attempt, memory.adopted_by());
    if (id.attempt >= attempt || lineage < slots.options().since) continue;
    if (memory.resumes() >= kRamResumesMax || !restore.Fits(slot.content.digest)) continue;
    mine.push_back({id.attempt, id.step});
  }
  MUSTER_ASSIGN_OR_RETURN(const std::vector<Offer> common, CommonOffers(mine, stored, groups));
  for (const Offer& offer : common) {
    FoundSlot& slot = *std::find_if(found.begin(), found.end(), [&](const FoundSlot& one) {
      return one.content.id.step == offer.step && one.content.id.attempt == offer.attempt;
    });
    checkpoint::RamSlot& memory = slot.file.slot();
    absl::Status whole = Agree(*groups.world, memory.VerifyImage(slot.content));
    absl::StatusOr<checkpoint::Manifest> manifest = checkpoint::Manifest();
    if (whole.ok()) {
      manifest = JoinManifest(slot, groups);
      whole = manifest.status();
    }
    if (!whole.ok()) {
      if (!SaidByAll(whole)) return whole;
      if (groups.first()) {
        console.problem(fmt::format("step {} in RAM stepped over: {}; trying an older one",
                                    offer.step, std::string(whole.message())));
      }
      continue;
    }
    restore.CopyOwn(memory.image(slot.content));
    MUSTER_RETURN_IF_ERROR(restore.TakeFromOthers());
    memory.GoOn(attempt, slots.options().replicated);
    if (slots.options().replicated) slot.file.Nudge();
    RamResumed resumed;
    resumed.slot = std::move(slot.file);
    resumed.letter = slot.letter;
    resumed.resumed.folder = fmt::format("RAM of attempt {}", offer.attempt);
    resumed.resumed.manifest = *std::move(manifest);
    resumed.resumed.from_ram = true;
    return std::optional<RamResumed>(std::move(resumed));
  }
  return std::optional<RamResumed>();
}

}  // namespace muster::trainer::loop
