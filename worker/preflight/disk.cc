#include "worker/preflight/disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/time/clock.h"
#include "common/status.h"

namespace muster::worker::preflight {
namespace {

constexpr uint64_t kChunkWords = 1 << 17;  // 1 MiB

using Chunk = std::vector<uint64_t>;

void Fill(Chunk& chunk, uint64_t first_word) {
  for (uint64_t i = 0; i < kChunkWords; ++i) {
    uint64_t word = (first_word + i) * 0xd1342543de82ef95;
    chunk[i] = word ^ (word >> 31);
  }
}

absl::Status WriteAll(int file, const Chunk& chunk, const std::string& path) {
  const char* at = reinterpret_cast<const char*>(chunk.data());
  size_t left = chunk.size() * sizeof(uint64_t);
  while (left > 0) {
    const ssize_t written = write(file, at, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return ErrnoError(written < 0 ? errno : ENOSPC, "disk: write " + path);
    at += written;
    left -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ReadAll(int file, Chunk& chunk, const std::string& path) {
  char* at = reinterpret_cast<char*>(chunk.data());
  size_t left = chunk.size() * sizeof(uint64_t);
  while (left > 0) {
    const ssize_t got = read(file, at, left);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "disk: read " + path);
    if (got == 0) return DataLoss("disk: {} is shorter than what was written", path);
    at += got;
    left -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status CheckAll(int file, uint64_t chunks, const std::string& path) {
  Chunk wanted(kChunkWords), got(kChunkWords);
  for (uint64_t i = 0; i < chunks; ++i) {
    Fill(wanted, i * kChunkWords);
    MUSTER_RETURN_IF_ERROR(ReadAll(file, got, path));
    if (std::memcmp(got.data(), wanted.data(), kChunkWords * sizeof(uint64_t)) == 0) continue;
    const auto differ = std::mismatch(got.begin(), got.end(), wanted.begin());
    const auto word = i * kChunkWords + static_cast<uint64_t>(differ.first - got.begin());
    return DataLoss("disk: {} reads {:016x} at byte {}, {:016x} was written", path, *differ.first,
                    word * sizeof(uint64_t), *differ.second);
  }
  return absl::OkStatus();
}

absl::StatusOr<DiskSpeed> WriteAndRead(int file, const DiskOptions& options,
                                       const std::string& path) {
  const uint64_t chunk_bytes = kChunkWords * sizeof(uint64_t);
  const uint64_t wanted = std::max<uint64_t>(1, options.bytes / chunk_bytes);
  Chunk chunk(kChunkWords);
  const absl::Time begin = absl::Now();
  uint64_t chunks = 0;
  do {
    Fill(chunk, chunks * kChunkWords);
    MUSTER_RETURN_IF_ERROR(WriteAll(file, chunk, path));
    ++chunks;
  } while (chunks < wanted && absl::Now() < begin + options.limit);
  if (fsync(file) != 0) return ErrnoError(errno, "disk: sync " + path);
  const absl::Time written = absl::Now();
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  if (lseek(file, 0, SEEK_SET) != 0) return ErrnoError(errno, "disk: seek in " + path);
  const absl::Time reading = absl::Now();
  MUSTER_RETURN_IF_ERROR(CheckAll(file, chunks, path));
  DiskSpeed speed;
  speed.bytes = chunks * chunk_bytes;
  const auto bytes = static_cast<double>(speed.bytes);
  speed.write_bytes_per_second = bytes / absl::ToDoubleSeconds(written - begin);
  speed.read_bytes_per_second = bytes / absl::ToDoubleSeconds(absl::Now() - reading);
  return speed;
}

}  // namespace

absl::StatusOr<DiskSpeed> TestDisk(const DiskOptions& options) {
  const std::string path = fmt::format("{}/preflight.{}", options.folder, getpid());
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return ErrnoError(errno, "disk: create " + path);
  // The name goes at once, so nothing stays behind however this ends.
  unlink(path.c_str());
  absl::StatusOr<DiskSpeed> speed = WriteAndRead(file, options, path);
  close(file);
  return speed;
}

}  // namespace muster::worker::preflight
