#include "checkpoint/store.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "checkpoint/best.h"
#include "checkpoint/pin.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr std::string_view kTrash = ".trash-";
constexpr std::string_view kTemporary = ".tmp-";
constexpr size_t kSwept = 8;  // committed ones looked through for unfinished writes: the newest

std::optional<uint64_t> Number(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// Two may tidy up at once: an old attempt that does not know it is over, and the new one.
absl::Status OrGone(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status RemoveTree(FileSystem& files, const std::string& path) {
  const absl::StatusOr<std::vector<FolderEntry>> entries = files.List(path);
  if (!entries.ok()) return OrGone(entries.status());
  for (const FolderEntry& entry : *entries) {
    const std::string child = path + "/" + entry.name;
    MUSTER_RETURN_IF_ERROR(entry.is_folder ? RemoveTree(files, child)
                                           : OrGone(files.RemoveFile(child)));
  }
  return OrGone(files.RemoveFolder(path));
}

// Trash that is pinned got its pin while a prune moved it: back it goes.
absl::StatusOr<bool> PutBackIfPinned(const std::string& trash, const std::string& path,
                                     FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const bool pinned, IsPinned(trash, files));
  if (!pinned) return false;
  MUSTER_RETURN_IF_ERROR(files.Rename(trash, path));
  return true;
}

absl::Status EmptyTrash(const std::string& root, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries, files.List(root));
  bool synced = false;
  for (const FolderEntry& entry : entries) {
    if (!entry.is_folder || !entry.name.starts_with(kTrash)) continue;
    // The new name first: a power loss must not give a half emptied folder its old name back.
    if (!synced) MUSTER_RETURN_IF_ERROR(files.SyncFolder(root));
    synced = true;
    const std::string trash = root + "/" + entry.name;
    MUSTER_ASSIGN_OR_RETURN(
        const bool back,
        PutBackIfPinned(trash, root + "/" + entry.name.substr(kTrash.size()), files));
    if (!back) MUSTER_RETURN_IF_ERROR(RemoveTree(files, trash));
  }
  return absl::OkStatus();
}

// True if the checkpoint is in the trash now; false if it stays, or somebody else removed it.
absl::StatusOr<bool> MoveToTrash(const std::string& root, const CheckpointEntry& entry,
                                 FileSystem& files) {
  const std::string trash = fmt::format("{}/{}{}", root, kTrash, CheckpointFolder(entry.id));
  const absl::Status moved = files.Rename(entry.path, trash);
  if (absl::IsNotFound(moved)) return false;
  MUSTER_RETURN_IF_ERROR(Annotate(moved, "prune"));
  MUSTER_ASSIGN_OR_RETURN(const bool back, PutBackIfPinned(trash, entry.path, files));
  return !back;
}

// The partial and damaged ones that nobody needs any more.
void AddDead(const std::vector<CheckpointEntry>& all,
             const std::vector<const CheckpointEntry*>& kept, const PruneOptions& options,
             std::vector<const CheckpointEntry*>& doomed) {
  for (const CheckpointEntry& entry : all) {
    if (entry.state == CheckpointState::kCommitted || entry.pinned) continue;
    // A partial folder is dead if its attempt is, or if its attempt has committed a later step.
    const bool superseded = std::any_of(kept.begin(), kept.end(), [&](const CheckpointEntry* k) {
      return k->id.attempt == entry.id.attempt && k->id.step > entry.id.step;
    });
    const bool dead = entry.id.attempt < options.current_attempt || superseded;
    // A damaged commit is evidence for as long as the ones around it are kept.
    const bool outlived =
        !kept.empty() &&
        std::all_of(kept.begin(), kept.end(), [&](const auto* k) { return k->id > entry.id; });
    if (entry.state == CheckpointState::kPartial ? dead : dead && outlived) {
      doomed.push_back(&entry);
    }
  }
}

// Unfinished writes of processes that died.
absl::Status SweepTemporaries(const std::string& folder, FileSystem& files) {
  const absl::StatusOr<std::vector<FolderEntry>> entries = files.List(folder);
  if (!entries.ok()) return OrGone(entries.status());
  for (const FolderEntry& entry : *entries) {
    if (!entry.is_file || !entry.name.starts_with(kTemporary)) continue;
    MUSTER_RETURN_IF_ERROR(OrGone(files.RemoveFile(folder + "/" + entry.name)));
  }
  return absl::OkStatus();
}

// The committed ones, newest first; apart, those that a newer attempt turned its back on by going
// on from an earlier step (they were marked bad, or came too late).
struct Retention {
  std::vector<const CheckpointEntry*> line, abandoned;
};

Retention InOrderOfRetention(const std::vector<CheckpointEntry>& all) {
  std::map<uint64_t, uint64_t> first_steps;  // of each attempt
  for (const CheckpointEntry& entry : all) {
    if (entry.state == CheckpointState::kCommitted) first_steps[entry.id.attempt] = entry.id.step;
  }
  Retention order;
  for (const CheckpointEntry& entry : all) {
    if (entry.state != CheckpointState::kCommitted) continue;
    const bool passed_by =
        std::any_of(first_steps.upper_bound(entry.id.attempt), first_steps.end(),
                    [&](const auto& newer) { return newer.second <= entry.id.step; });
    (passed_by ? order.abandoned : order.line).push_back(&entry);
  }
  return order;
}

// Whether one of them verifies; then all were made durable, for whoever committed one may not have
// come to that. Deleting others is safe after a yes.
absl::StatusOr<bool> Prove(const std::vector<const CheckpointEntry*>& kept, VerifyDepth depth,
                           FileSystem& files) {
  const bool proven = std::any_of(kept.begin(), kept.end(), [&](const CheckpointEntry* entry) {
    return Verify(entry->path, nullptr, depth, files).ok();
  });
  if (!proven) return false;
  for (const CheckpointEntry* entry : kept) {
    MUSTER_RETURN_IF_ERROR(files.SyncFolder(entry->path));
  }
  MUSTER_RETURN_IF_ERROR(SyncAncestors(files, kept.front()->path));
  return true;
}

}  // namespace

std::string CheckpointFolder(CheckpointId id) {
  return fmt::format("step-{:010}.a{}", id.step, id.attempt);
}

std::optional<CheckpointId> ParseCheckpointFolder(std::string_view name) {
  if (!name.starts_with("step-")) return std::nullopt;
  const size_t dot = name.find(".a");
  if (dot == std::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> step = Number(name.substr(5, dot - 5));
  const std::optional<uint64_t> attempt = Number(name.substr(dot + 2));
  if (!step || !attempt) return std::nullopt;
  const CheckpointId id{*step, *attempt};
  if (CheckpointFolder(id) != name) return std::nullopt;  // one checkpoint, one name
  return id;
}

std::string CheckpointStateText(CheckpointState state) {
  switch (state) {
    case CheckpointState::kCommitted:
      return "committed";
    case CheckpointState::kPartial:
      return "partial";
    case CheckpointState::kDamagedCommit:
      return "damaged";
  }
  return "unknown";
}

absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(const std::string& root,
                                                             FileSystem& files) {
  std::vector<CheckpointEntry> out;
  absl::StatusOr<std::vector<FolderEntry>> entries = files.List(root);
  if (absl::IsNotFound(entries.status())) return out;
  if (!entries.ok()) return Annotate(entries.status(), "list checkpoints");
  for (const FolderEntry& entry : *entries) {
    const std::optional<CheckpointId> id = ParseCheckpointFolder(entry.name);
    if (!id || !entry.is_folder) continue;
    CheckpointEntry found{.id = *id, .path = root + "/" + entry.name, .commit = {}, .problem = {}};
    absl::StatusOr<CommitRecord> commit = ReadCommit(found.path, files);
    if (commit.ok() && commit->step == id->step && commit->attempt == id->attempt) {
      found.state = CheckpointState::kCommitted;
      found.commit = *commit;
    } else if (absl::IsNotFound(commit.status())) {
      found.state = CheckpointState::kPartial;
    } else {
      found.state = CheckpointState::kDamagedCommit;
      found.problem = commit.ok() ? fmt::format("COMMIT is of step {} attempt {}", commit->step,
                                                commit->attempt)
                                  : std::string(commit.status().message());
    }
    MUSTER_ASSIGN_OR_RETURN(found.pinned, IsPinned(found.path, files));
    out.push_back(std::move(found));
  }
  std::sort(out.begin(), out.end(),
            [](const CheckpointEntry& a, const CheckpointEntry& b) { return a.id > b.id; });
  return out;
}

absl::StatusOr<std::string> PrepareCheckpointFolder(const std::string& root, CheckpointId id,
                                                    FileSystem& files) {
  const std::string folder = root + "/" + CheckpointFolder(id);
  const absl::Status made = MakeFolders(files, folder + "/data");
  if (!made.ok()) {
    return Annotate(made,
                    fmt::format("make the checkpoint folder {} (see checkpoint.path)", folder));
  }
  return folder;
}

absl::Status DiscardPartial(const std::string& root, CheckpointId id, FileSystem& files) {
  const std::string folder = root + "/" + CheckpointFolder(id);
  MUSTER_ASSIGN_OR_RETURN(const bool committed, files.Exists(folder + "/COMMIT"));
  if (committed) return FailedPrecondition("discard {}: it is committed", folder);
  MUSTER_ASSIGN_OR_RETURN(const bool pinned, IsPinned(folder, files));
  if (pinned) return FailedPrecondition("discard {}: it is pinned", folder);
  // Without COMMIT it is nothing already: it needs no other name to be emptied.
  return Annotate(RemoveTree(files, folder), "discard");
}

absl::Status WriteLatest(const std::string& root, CheckpointId id, FileSystem& files) {
  return WriteFileDurably(files, root, "LATEST", CheckpointFolder(id) + "\n");
}

absl::StatusOr<PruneReport> Prune(const std::string& root, const PruneOptions& options,
                                  FileSystem& files) {
  PruneReport report;
  MUSTER_ASSIGN_OR_RETURN(const bool there, files.Exists(root));
  if (!there) return report;
  MUSTER_ASSIGN_OR_RETURN(std::vector<CheckpointEntry> all, ListCheckpoints(root, files));
  const bool act = !options.only_plan;
  if (act) MUSTER_RETURN_IF_ERROR(Annotate(EmptyTrash(root, files), "prune"));

  for (CheckpointEntry& entry : all) {
    entry.pinned |=
        std::find(options.pinned.begin(), options.pinned.end(), entry.id) != options.pinned.end();
  }
  std::vector<const CheckpointEntry*> kept, doomed;
  Retention order = InOrderOfRetention(all);
  const bool all_stay = options.keep == 0 || order.line.size() <= options.keep;
  const std::vector<CheckpointId> best =
      BestOf(order.line, all_stay ? 0 : options.keep_best, files);
  order.line.insert(order.line.end(), order.abandoned.begin(), order.abandoned.end());
  for (const CheckpointEntry* entry : order.line) {
    const bool nth = options.keep_every > 0 && entry->id.step % options.keep_every == 0;
    const bool among_best = std::find(best.begin(), best.end(), entry->id) != best.end();
    if (options.keep == 0 || kept.size() < options.keep) {
      kept.push_back(entry);
    } else if (entry->pinned || nth || among_best) {
      report.spared.push_back(entry->id);
    } else {
      doomed.push_back(entry);
    }
  }
  for (size_t i = 0; act && i < std::min(kept.size(), kSwept); ++i) {
    MUSTER_RETURN_IF_ERROR(Annotate(SweepTemporaries(kept[i]->path, files), "prune"));
    MUSTER_RETURN_IF_ERROR(Annotate(SweepTemporaries(kept[i]->path + "/data", files), "prune"));
  }
  if (!doomed.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const bool proven, Prove(kept, options.proof, files));
    if (!proven) {
      report.kept_for_safety =
          fmt::format("none of the newest {} checkpoints in {} verifies: nothing older was deleted",
                      kept.size(), root);
      doomed.clear();
    }
  }
  AddDead(all, kept, options, doomed);
  for (const CheckpointEntry* entry : doomed) {
    if (act) {
      MUSTER_ASSIGN_OR_RETURN(const bool moved, MoveToTrash(root, *entry, files));
      if (!moved) continue;
    }
    (entry->state == CheckpointState::kCommitted ? report.deleted : report.swept)
        .push_back(entry->id);
  }
  if (act && !doomed.empty()) MUSTER_RETURN_IF_ERROR(Annotate(EmptyTrash(root, files), "prune"));
  return report;
}

}  // namespace muster::checkpoint
