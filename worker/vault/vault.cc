#include "worker/vault/vault.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "common/status.h"

namespace muster::worker::vault {
namespace {

// The nearest folder above that is there.
std::string Existing(const std::string& folder) {
  std::filesystem::path path(folder);
  std::error_code error;
  while (!path.empty() && path != path.root_path() && !std::filesystem::exists(path, error)) {
    path = path.parent_path();
  }
  return path.empty() ? "." : path.string();
}

absl::Status MakePrivateFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  if (errno != EEXIST) return ErrnoError(errno, "make the vault's folder " + path);
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return ErrnoError(errno, "look at " + path);
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return FailedPrecondition(
        "vault {}: there is something else, or others may read it; remove it or give --vault "
        "another folder",
        path);
  }
  return absl::OkStatus();
}

}  // namespace

bool Vault::IsPlainName(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos;
}

absl::StatusOr<Vault> Vault::Open(const VaultOptions& options) {
  if (options.bytes == 0) return Vault();
  const std::string place = Existing(options.folder);
  struct statfs info {};
  if (statfs(place.c_str(), &info) != 0) return ErrnoError(errno, "look at " + place);
  if (info.f_type != TMPFS_MAGIC && info.f_type != RAMFS_MAGIC) {
    return FailedPrecondition(
        "vault {}: {} is not memory; give --vault a folder below a tmpfs such as /dev/shm, or "
        "--vault-memory 0 for none",
        options.folder, place);
  }
  if (access(place.c_str(), W_OK) != 0) {
    return FailedPrecondition(
        "vault {}: {} cannot be written to; give --vault another folder, or --vault-memory 0 for "
        "none",
        options.folder, place);
  }
  return Vault(options);
}

uint64_t Vault::RankBytes(uint32_t slots) const {
  return options_.bytes / std::max(1u, options_.slots) * slots;
}

absl::Status Vault::HasRoom(const std::string& path, uint64_t bytes) const {
  uint64_t used = 0;
  for (const std::string& job : Jobs()) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(FolderOf(job), error), end; !error && at != end;
         at.increment(error)) {
      std::error_code gone;
      const uint64_t size = at->file_size(gone);
      if (!gone && at->path() != path) used += size;
    }
  }
  if (used + bytes <= options_.bytes) return absl::OkStatus();
  return ResourceExhausted(
      "{} MB of another node do not fit: {} of the {} MB of this node's vault are taken; give the "
      "worker more with --vault-memory",
      (bytes >> 20) + 1, used >> 20, options_.bytes >> 20);
}

absl::Status Vault::Add(const std::string& job_uid) {
  if (!IsPlainName(job_uid)) return InvalidArgument("vault: a job named \"{}\"", job_uid);
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(options_.folder).parent_path(), error);
  MUSTER_RETURN_IF_ERROR(MakePrivateFolder(options_.folder));
  return MakePrivateFolder(FolderOf(job_uid));
}

absl::Status Vault::Remove(const std::string& job_uid) {
  if (!IsPlainName(job_uid)) return InvalidArgument("vault: a job named \"{}\"", job_uid);
  std::error_code error;
  std::filesystem::remove_all(FolderOf(job_uid), error);
  if (error) return Internal("vault: remove {}: {}", FolderOf(job_uid), error.message());
  std::filesystem::remove(options_.folder, error);  // the last one closes the door
  return absl::OkStatus();
}

std::vector<std::string> Vault::Jobs() const {
  std::vector<std::string> jobs;
  if (!on()) return jobs;
  std::error_code error;
  for (std::filesystem::directory_iterator at(options_.folder, error), end; !error && at != end;
       at.increment(error)) {
    if (at->is_directory(error)) jobs.push_back(at->path().filename().string());
  }
  std::sort(jobs.begin(), jobs.end());
  return jobs;
}

uint64_t DefaultVaultBytes(const std::string& folder) {
  std::ifstream file("/proc/meminfo");
  uint64_t available = 0;
  for (std::string word; file >> word;) {
    if (word == "MemAvailable:" && file >> available) break;
  }
  available *= 1024;
  struct statfs info {};
  if (statfs(Existing(folder).c_str(), &info) != 0) return 0;
  const uint64_t free = static_cast<uint64_t>(info.f_bavail) * static_cast<uint64_t>(info.f_bsize);
  return std::min(available / 2, free);
}

}  // namespace muster::worker::vault
