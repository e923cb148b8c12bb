// The commit point of a checkpoint: the file COMMIT, made once by link().
//
// A folder without COMMIT is nothing. COMMIT names the manifest by SHA-256 and checks itself by
// CRC32C; the manifest names every byte of every shard. So one valid COMMIT vouches for all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"

namespace muster::checkpoint {

struct CommitRecord {
  uint64_t step = 0;
  uint64_t attempt = 0;
  uint64_t epoch = 0;  // the coordinator's that gave the permit; 0 without a coordinator
  std::string manifest_sha256;

  bool operator==(const CommitRecord&) const = default;
};

std::string CommitText(const CommitRecord& record);
absl::StatusOr<CommitRecord> ParseCommit(std::string_view text);  // kDataLoss

// Writes manifest.json durably. An uncommitted older one is replaced. In a committed folder: ok if
// it is the committed one (so the pair WriteManifest, Commit may be repeated), else kAlreadyExists.
absl::Status WriteManifest(const std::string& folder, const Manifest& manifest,
                           FileSystem& files = PosixFiles());

// Makes COMMIT. The shards and the manifest must be durable before. Repeating an equal commit is
// ok. Errors: kAlreadyExists if the folder is committed with another record.
absl::Status Commit(const std::string& folder, const CommitRecord& record,
                    FileSystem& files = PosixFiles());

// Errors: kNotFound if not committed; kDataLoss if COMMIT is damaged.
absl::StatusOr<CommitRecord> ReadCommit(const std::string& folder,
                                        FileSystem& files = PosixFiles());
bool IsCommitted(const std::string& folder, FileSystem& files = PosixFiles());

// The manifest of a committed checkpoint, checked against COMMIT. Errors: as ReadCommit; kDataLoss
// if the manifest is missing, changed, or of another step or attempt.
absl::StatusOr<Manifest> ReadManifest(const std::string& folder, FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
