// Every touch of the file system by this library, so that a test can fail or crash at any of them.
//
// Durability follows POSIX: written bytes survive a crash after Sync(); a created, renamed, linked
// or removed name survives after SyncFolder() of its folder.
//
// Threads: PosixFiles() may be used from several at once; an open file from one at a time.
// Errors:  each message names the path and says what the system said. kResourceExhausted: no space.
//          kPermissionDenied: read-only file system or no right. kNotFound, kAlreadyExists as
//          named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::checkpoint {

class WritableFile {
 public:
  virtual ~WritableFile() = default;  // closes
  virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  virtual absl::Status Sync() = 0;   // fdatasync
  virtual absl::Status Close() = 0;  // reports late write errors (network file systems)
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual uint64_t Size() const = 0;
  // Fills all of `bytes`. Errors: kDataLoss if the file ends before.
  virtual absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) = 0;
};

struct FolderEntry {
  std::string name;
  bool is_folder = false;
  bool is_file = false;  // neither: a link, a socket...
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // A new empty file; one already there is truncated.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // Goes on after the first `keep` bytes of a file that is there; what was behind them is gone.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> CreateAfter(const std::string& path,
                                                                    uint64_t keep) = 0;
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // A second name. Errors: kAlreadyExists if `name` is there: this is what makes COMMIT exclusive.
  virtual absl::Status Link(const std::string& existing, const std::string& name) = 0;
  virtual absl::Status RemoveFile(const std::string& path) = 0;
  virtual absl::Status RemoveFolder(const std::string& path) = 0;  // an empty one
  virtual absl::Status MakeFolder(const std::string& path) = 0;    // kAlreadyExists if there
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  virtual absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) = 0;  // by name
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& folder) = 0;
};

// The real one.
FileSystem& PosixFiles();

// The whole file. Errors: kResourceExhausted above `max_bytes`: it is not what it claims to be.
absl::StatusOr<std::string> ReadWholeFile(FileSystem& files, const std::string& path,
                                          uint64_t max_bytes);

// Writes `text` under a temporary name, syncs it, renames it to folder/name, syncs the folder:
// after a crash there is the old file or the new one. A failed write leaves no temporary file.
absl::Status WriteFileDurably(FileSystem& files, const std::string& folder, const std::string& name,
                              const std::string& text);

// Makes the folder and its missing parents, and syncs what it changed.
absl::Status MakeFolders(FileSystem& files, const std::string& path);

// Makes the names of the folder and of its parents durable: one of them may have been made by a
// process that died before it synced it. Folders above that we may not open were not made by us.
absl::Status SyncAncestors(FileSystem& files, const std::string& folder);

}  // namespace muster::checkpoint
