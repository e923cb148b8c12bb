#include "worker/vault/drain.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "checkpoint/digest.h"
#include "checkpoint/store.h"
#include "common/status.h"

namespace muster::worker::vault {
namespace {

using checkpoint::kChunkBytes;
using checkpoint::SlotContent;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kPieceBytes = 4u << 20;
constexpr uint64_t kAlign = 4096;  // of O_DIRECT

struct FreeAligned {
  void operator()(std::byte* bytes) const { operator delete[](bytes, std::align_val_t(kAlign)); }
};
using Buffer = std::unique_ptr<std::byte[], FreeAligned>;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool Close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

absl::Status ReadAll(int fd, const std::string& path, uint64_t at, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "read the RAM slot " + path);
    if (n == 0) return DataLoss("RAM slot {}: it ends at byte {}", path, at);
    bytes = bytes.subspan(static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, const std::string& path, uint64_t at,
                      std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError(n < 0 ? errno : EIO, "write " + path);
    bytes = bytes.subspan(static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

// One shard on its way from memory to a file, by several threads, chunk by chunk.
class Copy {
 public:
  Copy(const SlotContent& content, int from, std::string from_path, int to, std::string to_path,
       bool direct, const DrainOptions& options, const std::function<bool()>& goes_on)
      : content_(content),
        from_(from),
        from_path_(std::move(from_path)),
        to_(to),
        to_path_(std::move(to_path)),
        direct_(direct),
        options_(options),
        goes_on_(goes_on) {}

  absl::Status Run() {
    std::vector<std::thread> lanes;
    for (int lane = 1; lane < options_.lanes; ++lane) lanes.emplace_back([this] { Work(); });
    Work();
    for (std::thread& lane : lanes) lane.join();
    return first_error_;
  }

 private:
  void Work() {
    const Buffer buffer(new (std::align_val_t(kAlign)) std::byte[kPieceBytes]);
    const uint64_t chunks = content_.digest.file.chunk_crc32c.size();
    while (!failed_) {
      const uint64_t chunk = next_chunk_++;
      if (chunk >= chunks) return;
      const absl::Status done = CopyChunk(chunk, {buffer.get(), kPieceBytes});
      if (done.ok()) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (first_error_.ok()) first_error_ = done;
      failed_ = true;
    }
  }

  absl::Status CopyChunk(uint64_t chunk, std::span<std::byte> buffer) {
    const uint64_t size = content_.digest.file.size;
    const uint64_t end = std::min(size, (chunk + 1) * kChunkBytes);
    uint32_t crc = 0;
    for (uint64_t at = chunk * kChunkBytes; at < end; at += kPieceBytes) {
      if (!goes_on_()) return absl::CancelledError("the drain was told to stop");
      const uint64_t bytes = std::min(kPieceBytes, end - at);
      MUSTER_RETURN_IF_ERROR(
          ReadAll(from_, from_path_, content_.image_begin + at, buffer.first(bytes)));
      crc = checkpoint::Crc32c(crc, buffer.first(bytes));
      uint64_t written = bytes;
      if (direct_) {  // the end of the file is cut off again
        written = (bytes + kAlign - 1) / kAlign * kAlign;
        std::memset(buffer.data() + bytes, 0, written - bytes);
      }
      Pace(bytes);
      MUSTER_RETURN_IF_ERROR(WriteAll(to_, to_path_, at, buffer.first(written)));
    }
    if (crc == content_.digest.file.chunk_crc32c[chunk]) return absl::OkStatus();
    return DataLoss("RAM slot {}: bytes {}-{} of step {} were damaged in memory", from_path_,
                    chunk * kChunkBytes, end, content_.id.step);
  }

  void Pace(uint64_t bytes) {
    if (options_.bytes_per_second == 0) return;
    Clock::time_point mine;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      due_ = std::max(due_, Clock::now());
      mine = due_;
      due_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
          static_cast<double>(bytes) / static_cast<double>(options_.bytes_per_second)));
    }
    std::this_thread::sleep_until(mine);
  }

  const SlotContent& content_;
  const int from_;
  const std::string from_path_;
  const int to_;
  const std::string to_path_;
  const bool direct_;
  const DrainOptions options_;
  const std::function<bool()>& goes_on_;
  std::atomic<uint64_t> next_chunk_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  absl::Status first_error_;
  Clock::time_point due_ = Clock::now();
};

// Opens the target for direct writes where it can.
absl::StatusOr<int> OpenTarget(const std::string& path, uint64_t bytes, bool* direct) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
  *direct = true;
  int fd = ::open(path.c_str(), kFlags | O_DIRECT, 0666);
  if (fd < 0 && errno == EINVAL) {
    *direct = false;
    fd = ::open(path.c_str(), kFlags, 0666);
  }
  if (fd < 0) return ErrnoError(errno, "create " + path);
  // The room is taken at once: a full disk shows before the work, and the blocks lie together.
  if (bytes > 0 && ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0 && errno != EOPNOTSUPP &&
      errno != ENOSYS && errno != EINVAL) {
    const int error = errno;
    ::close(fd);
    return ErrnoError(error, "make room for " + path);
  }
  return fd;
}

absl::Status WriteTemporary(const checkpoint::SlotFile& slot, const SlotContent& content,
                            const std::string& path, const DrainOptions& options,
                            const std::function<bool()>& goes_on, bool* direct) {
  const Descriptor from(::open(slot.path().c_str(), O_RDONLY | O_CLOEXEC));
  if (from.get() < 0) return ErrnoError(errno, "open the RAM slot " + slot.path());
  const uint64_t size = content.digest.file.size;
  MUSTER_ASSIGN_OR_RETURN(const int fd, OpenTarget(path, size, direct));
  Descriptor to(fd);
  Copy copy(content, from.get(), slot.path(), to.get(), path, *direct, options, goes_on);
  MUSTER_RETURN_IF_ERROR(copy.Run());
  if (::ftruncate(to.get(), static_cast<off_t>(size)) != 0) return ErrnoError(errno, "cut " + path);
  if (::fdatasync(to.get()) != 0) return ErrnoError(errno, "sync " + path);
  return to.Close() ? absl::OkStatus() : ErrnoError(errno, "close " + path);
}

}  // namespace

absl::StatusOr<Drained> DrainSlot(const checkpoint::SlotFile& slot, const DrainOptions& options,
                                  const std::function<bool()>& goes_on,
                                  checkpoint::FileSystem& files) {
  const Clock::time_point begin = Clock::now();
  MUSTER_ASSIGN_OR_RETURN(const SlotContent content, slot.slot().Read());
  MUSTER_ASSIGN_OR_RETURN(const std::string folder,
                          checkpoint::PrepareCheckpointFolder(
                              content.root, {content.id.step, content.id.attempt}, files));
  MUSTER_ASSIGN_OR_RETURN(const bool committed, files.Exists(folder + "/COMMIT"));
  if (committed) {
    return AlreadyExists("save {}/{}: the checkpoint is committed; nothing was written", folder,
                         content.digest.file.name);
  }
  const std::string path = folder + "/" + content.digest.file.name;
  const std::string temporary = folder + "/data/.tmp-" + checkpoint::WriterName(content.id.rank);
  Drained drained;
  absl::Status status = WriteTemporary(slot, content, temporary, options, goes_on, &drained.direct);
  if (status.ok()) status = files.Rename(temporary, path);
  if (!status.ok()) {
    files.RemoveFile(temporary).IgnoreError();
    return checkpoint::ExplainSave(files, folder, path, content.digest.file.size, status);
  }
  MUSTER_RETURN_IF_ERROR(files.SyncFolder(folder + "/data"));
  drained.bytes = content.digest.file.size;
  drained.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return drained;
}

}  // namespace muster::worker::vault
