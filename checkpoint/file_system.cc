#include "checkpoint/file_system.h"

#include "common/status.h"

namespace muster::checkpoint {
namespace {

absl::Status WriteAndRename(FileSystem& files, const std::string& temporary,
                            const std::string& path, const std::string& text) {
  MUSTER_ASSIGN_OR_RETURN(auto file, files.Create(temporary));
  MUSTER_RETURN_IF_ERROR(file->Append(std::as_bytes(std::span(text))));
  MUSTER_RETURN_IF_ERROR(file->Sync());
  MUSTER_RETURN_IF_ERROR(file->Close());
  return files.Rename(temporary, path);
}

// "/" of "/a", "." of "a".
std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::string> ReadWholeFile(FileSystem& files, const std::string& path,
                                          uint64_t max_bytes) {
  MUSTER_ASSIGN_OR_RETURN(auto file, files.Open(path));
  if (file->Size() > max_bytes) {
    return Error(absl::StatusCode::kResourceExhausted, "read {}: {} bytes, at most {} make sense",
                 path, file->Size(), max_bytes);
  }
  std::string text(file->Size(), '\0');
  MUSTER_RETURN_IF_ERROR(file->ReadAt(0, std::as_writable_bytes(std::span(text))));
  return text;
}

absl::Status WriteFileDurably(FileSystem& files, const std::string& folder, const std::string& name,
                              const std::string& text) {
  const std::string temporary = folder + "/.tmp-" + name;
  absl::Status status = WriteAndRename(files, temporary, folder + "/" + name, text);
  if (!status.ok()) {
    files.RemoveFile(temporary).IgnoreError();
    return status;
  }
  return files.SyncFolder(folder);
}

absl::Status MakeFolders(FileSystem& files, const std::string& path) {
  if (path.empty() || path == "/" || path == ".") return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const bool there, files.Exists(path));
  if (there) return absl::OkStatus();
  const std::string parent = ParentOf(path);
  MUSTER_RETURN_IF_ERROR(MakeFolders(files, parent));
  if (path.ends_with('/')) return absl::OkStatus();
  absl::Status made = files.MakeFolder(path);
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return files.SyncFolder(parent);
}

absl::Status SyncAncestors(FileSystem& files, const std::string& folder) {
  for (std::string at = folder; at != "/" && at != ".";) {
    at = ParentOf(at);
    absl::Status synced = files.SyncFolder(at);
    if (!synced.ok() && !absl::IsPermissionDenied(synced)) return synced;
  }
  return absl::OkStatus();
}

}  // namespace muster::checkpoint
