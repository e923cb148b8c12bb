#include "checkpoint/commit.h"

#include <nlohmann/json.hpp>

#include "checkpoint/digest.h"
#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr uint64_t kCommitBytesMax = 4096;

std::string Fields(const CommitRecord& record, uint64_t crc32c) {
  return JsonText({{"attempt", record.attempt},
                   {"crc32c", crc32c},
                   {"epoch", record.epoch},
                   {"format", kFormat},
                   {"manifest_sha256", record.manifest_sha256},
                   {"step", record.step}}) +
         "\n";
}

absl::Status MakeCommit(FileSystem& files, const std::string& temporary, const std::string& name,
                        const std::string& text) {
  // A crash after link() leaves COMMIT under both names: to open it anew would empty COMMIT.
  absl::Status removed = files.RemoveFile(temporary);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  MUSTER_ASSIGN_OR_RETURN(auto file, files.Create(temporary));
  MUSTER_RETURN_IF_ERROR(file->Append(std::as_bytes(std::span(text))));
  MUSTER_RETURN_IF_ERROR(file->Sync());
  MUSTER_RETURN_IF_ERROR(file->Close());
  return files.Link(temporary, name);
}

}  // namespace

std::string CommitText(const CommitRecord& record) {
  const std::string unchecked = Fields(record, 0);
  return Fields(record, Crc32c(0, std::as_bytes(std::span(unchecked))));
}

absl::StatusOr<CommitRecord> ParseCommit(std::string_view text) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, "COMMIT"));
  CommitRecord record;
  MUSTER_ASSIGN_OR_RETURN(const std::string format, TextField(json, "format"));
  if (format != kFormat) {
    return DataLoss("COMMIT: format \"{}\", this program reads \"{}\"", format, kFormat);
  }
  MUSTER_ASSIGN_OR_RETURN(record.step, U64Field(json, "step"));
  MUSTER_ASSIGN_OR_RETURN(record.attempt, U64Field(json, "attempt"));
  MUSTER_ASSIGN_OR_RETURN(record.epoch, U64Field(json, "epoch"));
  MUSTER_ASSIGN_OR_RETURN(record.manifest_sha256, TextField(json, "manifest_sha256"));
  if (CommitText(record) != text) return DataLoss("COMMIT: does not match its own checksum");
  return record;
}

absl::Status WriteManifest(const std::string& folder, const Manifest& manifest, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const bool committed, files.Exists(folder + "/COMMIT"));
  if (committed) {
    const absl::StatusOr<CommitRecord> old = ReadCommit(folder, files);
    if (old.ok() && old->manifest_sha256 == manifest.sha256) return absl::OkStatus();
    return AlreadyExists("save {}/manifest.json: the checkpoint is committed; nothing was written",
                         folder);
  }
  return Annotate(WriteFileDurably(files, folder, "manifest.json", ManifestText(manifest)),
                  fmt::format("save {}/manifest.json", folder));
}

absl::Status Commit(const std::string& folder, const CommitRecord& record, FileSystem& files) {
  const std::string name = folder + "/COMMIT";
  const std::string temporary = folder + "/.tmp-COMMIT";
  MUSTER_RETURN_IF_ERROR(Annotate(SyncAncestors(files, folder), fmt::format("commit {}", folder)));
  const absl::Status made = MakeCommit(files, temporary, name, CommitText(record));
  files.RemoveFile(temporary).IgnoreError();
  if (absl::IsAlreadyExists(made)) {
    absl::StatusOr<CommitRecord> old = ReadCommit(folder, files);
    if (!old.ok() || *old != record) {
      return AlreadyExists("commit {}: it is committed already, and differently; nothing changed",
                           folder);
    }
  } else if (!made.ok()) {
    return Annotate(made, fmt::format("commit {}", folder));
  }
  return files.SyncFolder(folder);
}

absl::StatusOr<CommitRecord> ReadCommit(const std::string& folder, FileSystem& files) {
  absl::StatusOr<std::string> text = ReadWholeFile(files, folder + "/COMMIT", kCommitBytesMax);
  if (absl::IsNotFound(text.status())) {
    return NotFound("{} is not committed: it has no COMMIT", folder);
  }
  if (absl::IsResourceExhausted(text.status())) {
    return DataLoss("{}", std::string(text.status().message()));
  }
  if (!text.ok()) return text.status();
  absl::StatusOr<CommitRecord> record = ParseCommit(*text);
  if (!record.ok()) {
    return DataLoss("{}/COMMIT is damaged ({}); use an older checkpoint", folder,
                    std::string(record.status().message()));
  }
  return record;
}

bool IsCommitted(const std::string& folder, FileSystem& files) {
  return ReadCommit(folder, files).ok();
}

absl::StatusOr<Manifest> ReadManifest(const std::string& folder, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(folder, files));
  const std::string path = folder + "/manifest.json";
  absl::StatusOr<std::string> text = ReadWholeFile(files, path, kManifestBytesMax);
  if (!text.ok()) {
    return DataLoss("{}; the checkpoint is damaged, use an older one",
                    std::string(text.status().message()));
  }
  // First, so that the parser sees only what we wrote ourselves.
  if (Sha256Hex(*text) != commit.manifest_sha256) {
    return DataLoss(
        "{} is not the one that COMMIT names (SHA-256 differs); use an older checkpoint", path);
  }
  absl::StatusOr<Manifest> manifest = ParseManifest(*text);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  if (manifest->step != commit.step || manifest->attempt != commit.attempt) {
    return DataLoss("{} is of step {} attempt {}, COMMIT of step {} attempt {}", path,
                    manifest->step, manifest->attempt, commit.step, commit.attempt);
  }
  return manifest;
}

}  // namespace muster::checkpoint
