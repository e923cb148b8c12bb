#include "rank/checkpoint/memory_steps.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "checkpoint/digest.h"
#include "checkpoint/shard.h"
#include "checkpoint/slot_gate.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "rank/checkpoint/node_identity.h"

namespace muster::rank {
namespace {

using checkpoint::CheckpointId;
using checkpoint::Manifest;
using checkpoint::ShardDigest;

// Slots of other nodes come at the network's speed; a worker that dies opens the gate at once.
constexpr double kFetchSecondsMax = 300;

// What a rank tells of one of its slots.
struct Offer {
  uint64_t attempt = 0;
  uint64_t step = 0;
  uint32_t writer = 0;
  uint32_t world_size = 0;
  uint32_t own = 0;
  uint32_t eligible = 0;
};

template <typename Part>
std::vector<Part> PartsOf(const std::vector<std::byte>& bytes) {
  std::vector<Part> parts(bytes.size() / sizeof(Part));
  if (!parts.empty()) std::memcpy(parts.data(), bytes.data(), parts.size() * sizeof(Part));
  return parts;
}

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string TextOf(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::vector<std::filesystem::path> SlotFilesIn(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (checkpoint::ParseSlotFileName(at->path().filename().string())) paths.push_back(at->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

absl::StatusOr<MemorySteps> MemorySteps::Look(const VaultOptions& options,
                                              const checkpoint::SlotId& owner, uint64_t attempt,
                                              Group& group, const Console& console) {
  MemorySteps steps(group, console);
  steps.job_uid_ = owner.job_uid;
  if (!options.folder.empty() && !checkpoint::WaitForSlotGate(options.folder, kFetchSecondsMax)) {
    console.problem(fmt::format("rank {}: slots of other nodes did not come in {:.0f} s",
                                group.rank(), kFetchSecondsMax));
  }
  steps.node_ = NodeIdentity(options.folder);
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> nodes,
                          group.AllGatherBytes(std::as_bytes(std::span(&steps.node_, 1))));
  std::vector<int> local;
  for (size_t r = 0; r < nodes.size(); ++r) {
    if (PartsOf<uint64_t>(nodes[r]).front() == steps.node_) local.push_back(static_cast<int>(r));
  }
  if (!options.folder.empty()) steps.Find(options, owner, attempt, local);
  MUSTER_RETURN_IF_ERROR(steps.Tell());
  return steps;
}

void MemorySteps::Find(const VaultOptions& options, const checkpoint::SlotId& owner,
                       uint64_t attempt, const std::vector<int>& local) {
  const auto me = static_cast<uint32_t>(group_->rank());
  for (const std::filesystem::path& path : SlotFilesIn(options.folder)) {
    const std::string name = path.filename().string();
    const checkpoint::SlotFileId id = *checkpoint::ParseSlotFileName(name);
    const bool runs_here =
        std::binary_search(local.begin(), local.end(), static_cast<int>(id.rank));
    const auto offerer = runs_here ? id.rank : static_cast<uint32_t>(local[id.rank % local.size()]);
    if (offerer != me) continue;
    const auto damaged = [&](const std::string& what) {
      console_->problem(fmt::format("rank {}: not gone on from: {}", me, what));
    };
    absl::StatusOr<checkpoint::SlotFile> file = checkpoint::SlotFile::Open(path.string());
    if (!file.ok()) {
      if (!absl::IsNotFound(file.status())) damaged(std::string(file.status().message()));
      continue;
    }
    absl::StatusOr<checkpoint::SlotContent> content = file->slot().Read();
    if (!content.ok()) {
      if (!absl::IsNotFound(content.status())) {
        damaged(fmt::format("{}: {}", name, std::string(content.status().message())));
      }
      continue;
    }
    const checkpoint::SlotId& found = content->id;
    if (found.job_uid != owner.job_uid || found.rank != id.rank) {
      damaged(fmt::format("{}: holds rank {} of job {}", name, found.rank, found.job_uid));
      continue;
    }
    const uint64_t lineage = std::max(found.attempt, file->slot().adopted_by());
    if (lineage < options.since) continue;
    const bool eligible = found.attempt < attempt && file->slot().resumes() < kRamResumesMax;
    slots_.push_back({id.letter, *std::move(file), *std::move(content), id.rank == me, eligible});
  }
}

absl::Status MemorySteps::Tell() {
  std::vector<Offer> mine;
  for (const OfferedSlot& slot : slots_) {
    const checkpoint::SlotId& id = slot.content.id;
    mine.push_back(
        {id.attempt, id.step, id.rank, id.world_size, slot.own ? 1u : 0u, slot.eligible ? 1u : 0u});
  }
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group_->AllGatherBytes(std::as_bytes(std::span<const Offer>(mine))));
  for (const bool own : {true, false}) {
    for (size_t r = 0; r < all.size(); ++r) {
      for (const Offer& offer : PartsOf<Offer>(all[r])) {
        if ((offer.own != 0) != own) continue;
        const auto add = [&](std::map<CheckpointId, Shards>& to) {
          Shards& shards = to[{offer.step, offer.attempt}];
          if (shards.world_size == 0) shards.world_size = offer.world_size;
          if (shards.world_size != offer.world_size || offer.writer >= offer.world_size) return;
          std::vector<int>& holders = shards.holders[offer.writer];
          const int rank = static_cast<int>(r);
          if (std::find(holders.begin(), holders.end(), rank) == holders.end()) {
            holders.push_back(rank);
          }
        };
        add(all_);
        if (offer.eligible != 0) add(eligible_);
      }
    }
  }
  for (const auto& [id, shards] : eligible_) {
    if (shards.world_size > 0 && shards.holders.size() == shards.world_size) whole_.push_back(id);
  }
  std::sort(whole_.begin(), whole_.end(), [](const CheckpointId& a, const CheckpointId& b) {
    return std::pair(a.attempt, a.step) > std::pair(b.attempt, b.step);
  });
  return absl::OkStatus();
}

std::optional<size_t> MemorySteps::SlotOf(CheckpointId id, uint64_t writer) const {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const checkpoint::SlotId& held = slots_[i].content.id;
    if (held.step == id.step && held.attempt == id.attempt && held.rank == writer) return i;
  }
  return std::nullopt;
}

absl::Status MemorySteps::Check(const OfferedSlot& slot, const Manifest* manifest) const {
  const checkpoint::FileRecord& file = slot.content.digest.file;
  if (manifest != nullptr) {
    const auto at = std::find_if(manifest->files.begin(), manifest->files.end(),
                                 [&](const auto& one) { return one.name == file.name; });
    if (at == manifest->files.end() || *at != file) {
      return FailedPrecondition("{}: memory has another state of step {}", file.name,
                                manifest->step);
    }
  }
  return slot.file.slot().VerifyImage(slot.content);
}

absl::Status MemorySteps::Choose(CheckpointId id, Shards* shards, const Manifest* manifest) {
  const int me = group_->rank();
  std::set<uint64_t> checked;
  for (bool again = true; again;) {
    std::vector<uint64_t> bad;
    for (const auto& [writer, holders] : shards->holders) {
      if (holders.empty() || holders.front() != me || !checked.insert(writer).second) continue;
      const std::optional<size_t> slot = SlotOf(id, writer);
      const absl::Status status =
          slot ? Check(slots_[*slot], manifest) : NotFound("the slot of rank {} is gone", writer);
      if (status.ok()) continue;
      bad.push_back(writer);
      console_->problem(
          fmt::format("rank {}: not gone on from: {}", me, std::string(status.message())));
    }
    MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                            group_->AllGatherBytes(std::as_bytes(std::span<const uint64_t>(bad))));
    again = false;
    for (size_t r = 0; r < all.size(); ++r) {
      for (const uint64_t writer : PartsOf<uint64_t>(all[r])) {
        std::erase(shards->holders[writer], static_cast<int>(r));
        again = true;
      }
    }
  }
  chosen_.clear();
  for (const auto& [writer, holders] : shards->holders) {
    if (!holders.empty() && holders.front() == me) chosen_.push_back(*SlotOf(id, writer));
  }
  return absl::OkStatus();
}

absl::StatusOr<Manifest> MemorySteps::ChooseWhole(CheckpointId id) {
  Shards& shards = eligible_[id];
  MUSTER_RETURN_IF_ERROR(Choose(id, &shards, nullptr));
  for (uint64_t writer = 0; writer < shards.world_size; ++writer) {
    if (!shards.holders[writer].empty()) continue;
    return DataLoss("the shard of rank {} is whole in nobody's memory", writer);
  }
  return Join(id);
}

absl::Status MemorySteps::ChooseOf(const Manifest& manifest) {
  chosen_.clear();
  const CheckpointId id{manifest.step, manifest.attempt};
  const auto found = all_.find(id);
  if (found == all_.end()) return absl::OkStatus();
  return Choose(id, &found->second, &manifest);
}

absl::StatusOr<Manifest> MemorySteps::Join(CheckpointId id) {
  // Digests one behind the other, each with the digest of its run state; the run state itself comes
  // from whoever gives out the first shard.
  std::string mine;
  std::string run;
  for (const size_t i : chosen_) {
    const checkpoint::SlotContent& content = slots_[i].content;
    const std::string state = checkpoint::RunStateText(content.run);
    mine += checkpoint::Sha256Hex(state) + checkpoint::SerializeDigest(content.digest) + '\0';
    if (content.id.rank == 0) run = state;
  }
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> runs,
                          group_->AllGatherBytes(BytesOf(run)));
  for (const std::vector<std::byte>& text : runs) {
    if (!text.empty()) run = TextOf(text);
  }
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group_->AllGatherBytes(BytesOf(mine)));
  const std::string run_digest = checkpoint::Sha256Hex(run);
  std::vector<ShardDigest> digests;
  for (const std::vector<std::byte>& bytes : all) {
    const std::string text = TextOf(bytes);
    for (size_t begin = 0, end = 0; (end = text.find('\0', begin)) != std::string::npos;
         begin = end + 1) {
      const std::string_view one = std::string_view(text).substr(begin, end - begin);
      if (one.size() < run_digest.size()) return DataLoss("a digest of {} bytes", one.size());
      if (one.substr(0, run_digest.size()) != run_digest) {
        return DataLoss("its shards have different run states");
      }
      MUSTER_ASSIGN_OR_RETURN(ShardDigest digest,
                              checkpoint::ParseDigest(one.substr(run_digest.size())));
      digests.push_back(std::move(digest));
    }
  }
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::RunState state, checkpoint::ParseRunState(run));
  // Every rank has the same texts, and so the same outcome.
  absl::StatusOr<Manifest> manifest =
      checkpoint::BuildManifest(id.step, id.attempt, job_uid_, state, digests);
  if (!manifest.ok()) return DataLoss("{}", std::string(manifest.status().message()));
  return manifest;
}

std::vector<ShardInMemory> MemorySteps::ShardsOf(const Manifest& manifest) const {
  std::vector<ShardInMemory> shards;
  for (const size_t i : chosen_) {
    const OfferedSlot& slot = slots_[i];
    const auto at =
        std::find_if(manifest.files.begin(), manifest.files.end(),
                     [&](const auto& file) { return file.name == slot.content.digest.file.name; });
    if (at == manifest.files.end()) continue;
    shards.push_back(
        {static_cast<size_t>(at - manifest.files.begin()), slot.file.slot().image(slot.content)});
  }
  return shards;
}

std::vector<OfferedSlot> MemorySteps::TakeChosen() {
  std::vector<OfferedSlot> chosen;
  for (const size_t i : chosen_) chosen.push_back(std::move(slots_[i]));
  chosen_.clear();
  slots_.clear();
  return chosen;
}

}  // namespace muster::rank
