#include "worker/rpc/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/status.h"

namespace muster::worker::rpc {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

// 0 when there is no such file.
ino_t InodeOf(const std::string& path, uint64_t* size = nullptr) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return 0;
  if (size != nullptr) *size = static_cast<uint64_t>(info.st_size);
  return info.st_ino;
}

}  // namespace

LogFile::~LogFile() {
  if (file_ >= 0) close(file_);
}

bool LogFile::Exists() const { return InodeOf(path_) != 0 || InodeOf(path_ + ".1") != 0; }

void LogFile::Take(int file) {
  if (file_ >= 0) close(file_);
  file_ = file;
  struct stat info {};
  inode_ = fstat(file_, &info) == 0 ? info.st_ino : 0;
}

bool LogFile::OpenFirst() {
  int file = open((path_ + ".1").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  Take(file);
  return true;
}

void LogFile::SeekTo(uint64_t offset) {
  uint64_t older = 0;
  uint64_t newer = 0;
  const bool rotated = InodeOf(path_ + ".1", &older) != 0;
  InodeOf(path_, &newer);
  offset_ = std::min(offset, older + newer);
  const bool in_older = rotated && offset_ < older;
  const int file = open((in_older ? path_ + ".1" : path_).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;  // opened when it is there
  Take(file);
  lseek(file_, static_cast<off_t>(in_older ? offset_ : offset_ - older), SEEK_SET);
}

absl::Status LogFile::SeekToTail(int64_t lines) {
  uint64_t older = 0;
  uint64_t newer = 0;
  InodeOf(path_ + ".1", &older);
  InodeOf(path_, &newer);
  const uint64_t end = older + newer;
  uint64_t block_end = end;
  int64_t seen = 0;
  while (block_end > 0) {
    const uint64_t begin = block_end - std::min<uint64_t>(block_end, kBlockBytes);
    SeekTo(begin);
    std::string block;
    while (begin + block.size() < block_end) {
      MUSTER_ASSIGN_OR_RETURN(const std::string part, Read(block_end - begin - block.size()));
      if (part.empty()) break;
      block += part;
    }
    for (size_t at = block.size(); at > 0; --at) {
      // The newline that ends the last line opens no line after it.
      if (block[at - 1] != '\n' || begin + at == end) continue;
      if (++seen == lines) {
        SeekTo(begin + at);
        return absl::OkStatus();
      }
    }
    block_end = begin;
  }
  SeekTo(0);
  return absl::OkStatus();
}

// At the end of a file that is no longer the newest: the one after it.
bool LogFile::MoveToNext() {
  const ino_t newest = InodeOf(path_);
  if (newest == 0 || newest == inode_) return false;
  const bool was_older = InodeOf(path_ + ".1") == inode_;
  // Rotated twice since the last look: what was between is gone, the older half comes next.
  const int file = open((was_older ? path_ : path_ + ".1").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  Take(file);
  return true;
}

absl::StatusOr<std::string> LogFile::Read(size_t max) {
  if (file_ < 0 && !OpenFirst()) return std::string();
  std::string bytes(std::min(max, kBlockBytes), '\0');
  bool moved = false;
  while (true) {
    const ssize_t count = read(file_, bytes.data(), bytes.size());
    if (count < 0) return ErrnoError(errno, "read " + path_);
    if (count > 0) {
      bytes.resize(static_cast<size_t>(count));
      offset_ += bytes.size();
      return bytes;
    }
    // A rotation between that read and this look may have left last bytes: read once more first.
    const ino_t newest = InodeOf(path_);
    if (newest == 0 || newest == inode_) return std::string();
    if (!std::exchange(moved, true)) continue;
    if (!MoveToNext()) return std::string();
    moved = false;
  }
}

absl::StatusOr<std::string> FindLog(const std::string& logs, uint64_t job, uint64_t attempt,
                                    uint32_t rank, const std::string& stream) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(logs, error)) {
    const std::string uid = entry.path().filename().string();
    const size_t cluster = uid.rfind('-');
    if (cluster == std::string::npos || cluster == 0) continue;
    const size_t id = uid.rfind('-', cluster - 1);
    if (id == std::string::npos || uid.substr(id + 1, cluster - id - 1) != std::to_string(job)) {
      continue;
    }
    const auto folder = entry.path() / std::to_string(attempt);
    if (!std::filesystem::is_directory(folder, error)) continue;
    return (folder / std::to_string(rank) / (stream + ".log")).string();
  }
  return NotFound(
      "read log of rank {} of attempt {}.{}: this node has no logs of that attempt; "
      "ask the node the rank ran on (muster describe {})",
      rank, job, attempt, job);
}

}  // namespace muster::worker::rpc
