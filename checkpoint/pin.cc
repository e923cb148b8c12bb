#include "checkpoint/pin.h"

#include "checkpoint/commit.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr uint64_t kNoteBytesMax = 4096;

std::string PinPath(const std::string& folder) { return folder + "/" + std::string(kPinFile); }

}  // namespace

absl::Status Pin(const std::string& folder, const std::string& note, FileSystem& files) {
  if (note.size() >= kNoteBytesMax) {
    return InvalidArgument("pin {}: a note of {} bytes, at most {}", folder, note.size(),
                           kNoteBytesMax - 1);
  }
  if (const absl::StatusOr<CommitRecord> commit = ReadCommit(folder, files); !commit.ok()) {
    return FailedPrecondition("pin {}: {}", folder, std::string(commit.status().message()));
  }
  MUSTER_RETURN_IF_ERROR(
      Annotate(WriteFileDurably(files, folder, std::string(kPinFile), note + "\n"),
               fmt::format("pin {}", folder)));
  // A prune may have moved the folder away between the two; then the pin is not where it was put.
  MUSTER_ASSIGN_OR_RETURN(const bool pinned, IsPinned(folder, files));
  if (pinned) return absl::OkStatus();
  return NotFound("pin {}: a prune took it at this moment; list the checkpoints and pin another",
                  folder);
}

absl::Status Unpin(const std::string& folder, FileSystem& files) {
  const absl::Status removed = files.RemoveFile(PinPath(folder));
  if (absl::IsNotFound(removed)) return NotFound("unpin {}: it is not pinned", folder);
  if (!removed.ok()) return Annotate(removed, fmt::format("unpin {}", folder));
  return files.SyncFolder(folder);
}

absl::StatusOr<bool> IsPinned(const std::string& folder, FileSystem& files) {
  return files.Exists(PinPath(folder));
}

absl::StatusOr<std::string> PinNote(const std::string& folder, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(std::string text, ReadWholeFile(files, PinPath(folder), kNoteBytesMax));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace muster::checkpoint
