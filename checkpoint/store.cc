#include "checkpoint/store.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr std::string_view kTrash = ".trash-";

std::optional<uint64_t> Number(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

absl::Status RemoveTree(FileSystem& files, const std::string& path) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries, files.List(path));
  for (const FolderEntry& entry : entries) {
    const std::string child = path + "/" + entry.name;
    MUSTER_RETURN_IF_ERROR(entry.is_folder ? RemoveTree(files, child) : files.RemoveFile(child));
  }
  return files.RemoveFolder(path);
}

absl::Status EmptyTrash(const std::string& root, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries, files.List(root));
  for (const FolderEntry& entry : entries) {
    if (!entry.is_folder || !entry.name.starts_with(kTrash)) continue;
    MUSTER_RETURN_IF_ERROR(RemoveTree(files, root + "/" + entry.name));
  }
  return absl::OkStatus();
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

absl::Status WriteLatest(const std::string& root, CheckpointId id, FileSystem& files) {
  return WriteFileDurably(files, root, "LATEST", CheckpointFolder(id) + "\n");
}

absl::StatusOr<PruneReport> Prune(const std::string& root, const PruneOptions& options,
                                  FileSystem& files) {
  PruneReport report;
  MUSTER_ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> all, ListCheckpoints(root, files));
  if (all.empty()) return report;
  MUSTER_RETURN_IF_ERROR(Annotate(EmptyTrash(root, files), "prune"));

  std::vector<const CheckpointEntry*> kept, old;
  const std::set<CheckpointId> pinned(options.pinned.begin(), options.pinned.end());
  for (const CheckpointEntry& entry : all) {
    if (entry.state != CheckpointState::kCommitted) continue;
    const bool keep = options.keep == 0 || kept.size() < options.keep;
    if (keep) {
      kept.push_back(&entry);
    } else if (!pinned.contains(entry.id)) {
      old.push_back(&entry);
    }
  }
  if (!old.empty()) {
    const bool proven = std::any_of(kept.begin(), kept.end(), [&](const CheckpointEntry* entry) {
      return Verify(entry->path, nullptr, options.proof, files).ok();
    });
    if (!proven) {
      report.kept_for_safety =
          fmt::format("none of the newest {} checkpoints in {} verifies: nothing older was deleted",
                      kept.size(), root);
      old.clear();
    }
  }
  std::vector<const CheckpointEntry*> doomed = old;
  for (const CheckpointEntry& entry : all) {
    if (entry.state == CheckpointState::kCommitted || pinned.contains(entry.id)) continue;
    // A partial folder is dead if its attempt is, or if its attempt has committed a later step.
    const bool superseded = std::any_of(kept.begin(), kept.end(), [&](const CheckpointEntry* k) {
      return k->id.attempt == entry.id.attempt && k->id.step > entry.id.step;
    });
    const bool dead = entry.id.attempt < options.current_attempt || superseded;
    // A damaged commit is evidence for as long as the ones around it are kept.
    const bool outlived = !kept.empty() && kept.back()->id > entry.id;
    if (entry.state == CheckpointState::kPartial ? dead : dead && outlived) {
      doomed.push_back(&entry);
    }
  }
  for (const CheckpointEntry* entry : doomed) {
    const std::string trash = fmt::format("{}/{}{}", root, kTrash, CheckpointFolder(entry->id));
    MUSTER_RETURN_IF_ERROR(Annotate(files.Rename(entry->path, trash), "prune"));
    (entry->state == CheckpointState::kCommitted ? report.deleted : report.swept)
        .push_back(entry->id);
  }
  if (!doomed.empty()) {
    MUSTER_RETURN_IF_ERROR(files.SyncFolder(root));
    MUSTER_RETURN_IF_ERROR(Annotate(EmptyTrash(root, files), "prune"));
  }
  return report;
}

}  // namespace muster::checkpoint
