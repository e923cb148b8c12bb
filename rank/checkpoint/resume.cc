#include "rank/checkpoint/resume.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checkpoint/commit.h"
#include "checkpoint/store.h"
#include "checkpoint/verify.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"

namespace muster::rank {
namespace {

using checkpoint::CheckpointEntry;
using checkpoint::CheckpointId;
using checkpoint::CheckpointState;
using checkpoint::Manifest;
using checkpoint::Permitted;
using checkpoint::ResumeChoice;
using checkpoint::ResumePoint;
using checkpoint::VerifyDepth;

// Rank 0's side: offers what storage has, newest first. Only COMMIT and manifest are read here:
// whoever loads a chunk checks it.
class Stored {
 public:
  Stored(const ResumeRequest& request, const Console& console, checkpoint::FileSystem& files)
      : request_(request), console_(console), files_(files) {}

  // nullopt: none.
  absl::StatusOr<std::optional<ResumePoint>> Next() {
    ResumeChoice choice;
    const bool first = !started_;
    started_ = true;
    if (first && !request_.permitted.has_value()) {
      MUSTER_ASSIGN_OR_RETURN(
          choice, checkpoint::ChooseNewest(request_.root, files_, VerifyDepth::kManifest));
    } else {
      if (first) left_ = *request_.permitted;
      MUSTER_ASSIGN_OR_RETURN(
          choice, checkpoint::ChooseResume(request_.root, left_, files_, VerifyDepth::kManifest));
    }
    for (const std::string& note : choice.notes) console_.problem(note);
    if (!choice.point.has_value() && !first) {
      return DataLoss(
          "{}: no checkpoint of this job can be loaded (see the lines above); restore one, or "
          "move the folder away to start again",
          request_.root);
    }
    if (!choice.point.has_value()) return choice.point;
    MUSTER_RETURN_IF_ERROR(KeepOlderThan(*choice.point));
    return choice.point;
  }

 private:
  absl::Status KeepOlderThan(const ResumePoint& point) {
    const CheckpointId chosen{point.manifest.step, point.manifest.attempt};
    if (!request_.permitted.has_value()) {
      left_.clear();
      MUSTER_ASSIGN_OR_RETURN(std::vector<CheckpointEntry> entries,
                              checkpoint::ListCheckpoints(request_.root, files_));
      for (const CheckpointEntry& entry : entries) {
        if (entry.state != CheckpointState::kCommitted || entry.id >= chosen) continue;
        left_.push_back({entry.id, entry.commit.manifest_sha256});
      }
      return absl::OkStatus();
    }
    while (!left_.empty() && left_.front().id != chosen) left_.erase(left_.begin());
    if (!left_.empty()) left_.erase(left_.begin());
    return absl::OkStatus();
  }

  const ResumeRequest& request_;
  const Console& console_;
  checkpoint::FileSystem& files_;
  bool started_ = false;
  std::vector<Permitted> left_;
};

// The newest one a resume would try, by its COMMIT alone. One that cannot be looked at counts.
std::optional<CheckpointId> NewestStored(const ResumeRequest& request,
                                         checkpoint::FileSystem& files) {
  if (request.permitted.has_value()) {
    for (const Permitted& permitted : *request.permitted) {
      const absl::StatusOr<checkpoint::CommitRecord> commit = checkpoint::ReadCommit(
          request.root + "/" + checkpoint::CheckpointFolder(permitted.id), files);
      if (absl::IsNotFound(commit.status())) continue;
      if (commit.ok() && commit->manifest_sha256 != permitted.manifest_sha256) continue;
      return permitted.id;
    }
    return std::nullopt;
  }
  const absl::StatusOr<std::vector<CheckpointEntry>> entries =
      checkpoint::ListCheckpoints(request.root, files);
  if (!entries.ok()) return std::nullopt;
  for (const CheckpointEntry& entry : *entries) {
    if (entry.state == CheckpointState::kCommitted) return entry.id;
  }
  return std::nullopt;
}

bool IsDamage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDataLoss ||
         status.code() == absl::StatusCode::kNotFound;
}

absl::StatusOr<std::optional<ResumePoint>> ReadInitFrom(const std::string& folder,
                                                        checkpoint::FileSystem& files) {
  const checkpoint::VerifyReport report =
      checkpoint::Verify(folder, nullptr, VerifyDepth::kSizes, files);
  MUSTER_RETURN_IF_ERROR(
      Annotate(checkpoint::VerifyStatus(folder, report), "checkpoint.init_from"));
  MUSTER_ASSIGN_OR_RETURN(Manifest manifest, checkpoint::ReadManifest(folder, files));
  return std::optional<ResumePoint>(ResumePoint{folder, std::move(manifest)});
}

class Resuming {
 public:
  Resuming(const ResumeRequest& request, const RankSlots& slots, Group& group,
           const Console& console, checkpoint::FileSystem& files)
      : request_(request), slots_(slots), group_(group), console_(console), files_(files) {}

  absl::StatusOr<std::optional<Resumed>> Run() {
    MUSTER_ASSIGN_OR_RETURN(memory_, MemorySteps::Look(slots_.options(), slots_.IdOf(0, 0),
                                                       request_.attempt, group_, console_));
    MUSTER_ASSIGN_OR_RETURN(std::optional<Resumed> resumed, FromMemory());
    if (resumed.has_value()) return resumed;
    return FromStorage();
  }

 private:
  absl::StatusOr<std::optional<Resumed>> FromMemory() {
    std::vector<uint64_t> newest = {0, 0};
    if (group_.first() && !memory_->whole().empty()) {
      const std::optional<CheckpointId> stored = NewestStored(request_, files_);
      if (stored.has_value()) newest = {stored->step, stored->attempt};
    }
    MUSTER_RETURN_IF_ERROR(
        group_.Broadcast(std::as_writable_bytes(std::span<uint64_t>(newest)), 0));
    for (const CheckpointId& id : memory_->whole()) {
      if (id.step <= newest[0] || id.attempt < newest[1]) continue;
      Resumed resumed;
      absl::StatusOr<Manifest> manifest = memory_->ChooseWhole(id);
      absl::Status loaded = manifest.status();
      if (loaded.ok()) {
        resumed.manifest = *std::move(manifest);
        resumed.folder = fmt::format("RAM of attempt {}", id.attempt);
        loaded = Load("", &resumed);
      }
      if (loaded.ok()) return std::optional<Resumed>(Chosen(std::move(resumed)));
      if (!IsDamage(loaded)) return loaded;
      SteppedOver(
          fmt::format("step {} in RAM stepped over: {}", id.step, std::string(loaded.message())));
    }
    return std::optional<Resumed>();
  }

  absl::StatusOr<std::optional<Resumed>> FromStorage() {
    Stored stored(request_, console_, files_);
    while (true) {
      absl::StatusOr<std::optional<ResumePoint>> choice = std::optional<ResumePoint>();
      if (group_.first()) choice = stored.Next();
      if (group_.first() && choice.ok() && !choice->has_value() && !request_.init_from.empty()) {
        choice = ReadInitFrom(request_.init_from, files_);
      }
      MUSTER_ASSIGN_OR_RETURN(std::optional<ResumePoint> point, Share(choice));
      if (!point.has_value()) return std::optional<Resumed>();
      Resumed resumed;
      resumed.folder = point->folder;
      resumed.manifest = std::move(point->manifest);
      resumed.from_init = resumed.folder == request_.init_from;
      resumed.on_storage = true;
      if (request_.accept) {
        MUSTER_RETURN_IF_ERROR(Agree(group_, request_.accept(resumed.manifest, resumed.folder)));
      }
      if (!resumed.from_init) MUSTER_RETURN_IF_ERROR(memory_->ChooseOf(resumed.manifest));
      const absl::Status loaded = Load(resumed.folder, &resumed);
      if (loaded.ok()) return std::optional<Resumed>(Chosen(std::move(resumed)));
      if (resumed.from_init) return Annotate(loaded, "checkpoint.init_from");
      if (!SaidByAll(loaded) || !IsDamage(loaded)) return loaded;
      SteppedOver(fmt::format("checkpoint stepped over: {}: {}", resumed.folder,
                              std::string(loaded.message())));
    }
  }

  // Gives rank 0's choice to everyone: folder, then the manifest's text; empty folder = none.
  absl::StatusOr<std::optional<ResumePoint>> Share(
      const absl::StatusOr<std::optional<ResumePoint>>& choice) {
    MUSTER_RETURN_IF_ERROR(Agree(group_, choice.status()));
    const bool some = group_.first() && choice->has_value();
    MUSTER_ASSIGN_OR_RETURN(std::string folder, FromFirst(group_, some ? (*choice)->folder : ""));
    if (folder.empty()) return std::optional<ResumePoint>();
    MUSTER_ASSIGN_OR_RETURN(
        std::string text,
        FromFirst(group_, some ? checkpoint::ManifestText((*choice)->manifest) : ""));
    MUSTER_ASSIGN_OR_RETURN(Manifest manifest, checkpoint::ParseManifest(text));
    return std::optional<ResumePoint>(ResumePoint{std::move(folder), std::move(manifest)});
  }

  absl::Status Load(const std::string& folder, Resumed* resumed) {
    const Manifest& manifest = resumed->manifest;
    LoadSources sources;
    sources.folder = folder;
    sources.node = memory_->node();
    if (!resumed->from_init) sources.shards = memory_->ShardsOf(manifest);
    const std::vector<checkpoint::Request> requests =
        request_.requests(manifest, resumed->from_init);
    MUSTER_ASSIGN_OR_RETURN(resumed->bytes, LoadState(manifest, requests, sources, group_, files_));
    MUSTER_RETURN_IF_ERROR(AddUp(resumed));
    if (!request_.check) return absl::OkStatus();
    return Agree(group_, request_.check(manifest));
  }

  // What came from where, over all ranks.
  absl::Status AddUp(Resumed* resumed) {
    const uint64_t mine[] = {resumed->bytes.storage, resumed->bytes.all()};
    MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                            group_.AllGatherBytes(std::as_bytes(std::span(mine))));
    uint64_t storage = 0;
    uint64_t whole = 0;
    for (const std::vector<std::byte>& bytes : all) {
      uint64_t theirs[2] = {0, 0};
      std::memcpy(theirs, bytes.data(), sizeof(theirs));
      storage += theirs[0];
      whole += theirs[1];
    }
    resumed->from_memory = storage == 0 && whole > 0;
    resumed->memory_share =
        whole == 0 ? 0 : static_cast<double>(whole - storage) / static_cast<double>(whole);
    return absl::OkStatus();
  }

  // From here on the slots it came from belong to this attempt's history.
  Resumed Chosen(Resumed resumed) {
    if (resumed.from_init) return resumed;
    const bool replicated = slots_.options().replicated;
    for (OfferedSlot& slot : memory_->TakeChosen()) {
      slot.file.slot().GoOn(request_.attempt, replicated && slot.own);
      if (replicated && slot.own) slot.file.Nudge();
      resumed.slots.push_back(std::move(slot));
    }
    return resumed;
  }

  void SteppedOver(const std::string& line) {
    if (group_.first()) console_.problem(line + "; trying an older one");
  }

  const ResumeRequest& request_;
  const RankSlots& slots_;
  Group& group_;
  const Console& console_;
  checkpoint::FileSystem& files_;
  std::optional<MemorySteps> memory_;
};

}  // namespace

absl::StatusOr<std::optional<Resumed>> Resume(const ResumeRequest& request, const RankSlots& slots,
                                              Group& group, const Console& console,
                                              checkpoint::FileSystem& files) {
  return Resuming(request, slots, group, console, files).Run();
}

std::string WhereFrom(const Resumed& resumed) {
  std::string folder = resumed.folder.substr(resumed.folder.find_last_of('/') + 1);
  if (!resumed.on_storage || resumed.memory_share == 0) return folder;
  if (resumed.from_memory) return folder + ", from memory";
  return fmt::format("{}, {:.0f} % from memory", folder, 100 * resumed.memory_share);
}

absl::Status ReserveBeside(const std::optional<Resumed>& resumed,
                           const checkpoint::ShardLayout& layout, Group& group, RankSlots& slots,
                           CheckpointSaver& saver) {
  std::optional<char> kept;
  if (resumed.has_value()) {
    for (const OfferedSlot& slot : resumed->slots) {
      const bool of_this_layout =
          slot.content.id.world_size == static_cast<uint32_t>(group.size()) &&
          slot.content.digest.pieces == layout.pieces;
      if (slot.own && of_this_layout) kept = slot.letter;
    }
  }
  const uint64_t step = kept.has_value() ? resumed->manifest.step : 0;
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group.AllGatherBytes(std::as_bytes(std::span(&step, 1))));
  const bool by_all = std::all_of(all.begin(), all.end(), [&](const auto& theirs) {
    return std::memcmp(theirs.data(), &step, sizeof(step)) == 0;
  });
  slots.Reserve(layout, kept, step);
  if (kept.has_value() && by_all) saver.WentOnFrom(step);
  return absl::OkStatus();
}

void ForgetResumes(std::vector<OfferedSlot>* slots, bool replicated) {
  for (OfferedSlot& slot : *slots) {
    slot.file.slot().ForgetResumes(replicated && slot.own);
    if (replicated && slot.own) slot.file.Nudge();
  }
  slots->clear();
}

absl::StatusOr<uint64_t> NextAttempt(const std::string& root, Group& group,
                                     checkpoint::FileSystem& files) {
  uint64_t attempt = 1;
  absl::Status listed;
  if (group.first()) {
    const absl::StatusOr<std::vector<CheckpointEntry>> entries =
        checkpoint::ListCheckpoints(root, files);
    listed = entries.status();
    if (entries.ok()) {
      for (const auto& entry : *entries) attempt = std::max(attempt, entry.id.attempt + 1);
    }
  }
  MUSTER_RETURN_IF_ERROR(Agree(group, listed));
  MUSTER_RETURN_IF_ERROR(group.Broadcast(std::as_writable_bytes(std::span(&attempt, 1)), 0));
  return attempt;
}

}  // namespace muster::rank
