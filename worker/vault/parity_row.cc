#include "worker/vault/parity_row.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "checkpoint/digest.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::worker::vault {
namespace {

constexpr char kMagic[8] = {'M', 'U', 'S', 'T', 'P', 'R', 'T', 'Y'};
constexpr uint32_t kVersion = 1;
constexpr size_t kChunksMax = kGroupMembersMax - 1;

// The bytes of docs/formats/ram_slot.md, little endian.
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t place;
  uint32_t holder;
  uint32_t members;
  uint32_t chunks;
  uint32_t world_size;
  uint64_t attempt;
  uint64_t step;
  uint64_t bytes;
  char job_uid[checkpoint::kSlotUidBytesMax + 1];
  struct Run {
    uint32_t first_rank;
    uint32_t ranks;
  } group[kGroupMembersMax];
  struct Chunk {
    uint32_t rank;
    uint32_t crc32c;
    uint64_t slot_bytes;
  } chunk[kChunksMax];
  uint32_t second;  // bit i: chunk i came from its rank's slot b
  uint32_t crc32c;  // of what stands before it
};

// What changes while the row is sealed.
struct Words {
  uint32_t state;  // 1 = sealed
  uint32_t reserved;
  uint64_t kept_for;
  struct Slot {
    uint64_t adopted_by;
    uint64_t resumes;
  } slot[kChunksMax];
};

constexpr uint64_t kWordsAt = 2048;
static_assert(offsetof(Header, job_uid) == 56 && offsetof(Header, group) == 184);
static_assert(offsetof(Header, chunk) == 448 && offsetof(Header, second) == 960);
static_assert(offsetof(Header, crc32c) == 964 && sizeof(Header) <= kWordsAt);
static_assert(kWordsAt + sizeof(Words) <= kRowHeaderBytes);

uint32_t CrcOf(const Header& header) {
  return checkpoint::Crc32c(0,
                            std::as_bytes(std::span(&header, 1)).first(offsetof(Header, crc32c)));
}

template <typename Part>
std::span<const std::byte> BytesOf(const Part& part) {
  return std::as_bytes(std::span(&part, 1));
}

absl::Status WriteAll(int fd, const std::string& path, uint64_t at,
                      std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoError(errno, "write parity " + path);
    at += static_cast<uint64_t>(wrote);
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

absl::Status ReadAll(int fd, const std::string& path, uint64_t at, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read parity " + path);
    if (got == 0) return DataLoss("parity {}: it ends after {} bytes", path, at);
    at += static_cast<uint64_t>(got);
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

absl::StatusOr<RowHead> Parse(const Header& header, const std::string& path) {
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || header.version != kVersion ||
      header.crc32c != CrcOf(header)) {
    return DataLoss("parity {}: its header is damaged", path);
  }
  if (header.members > kGroupMembersMax || header.chunks > kChunksMax) {
    return DataLoss("parity {}: {} chunks of {} members", path, header.chunks, header.members);
  }
  RowHead head{.job_uid = {header.job_uid, strnlen(header.job_uid, sizeof(header.job_uid))},
               .place = header.place,
               .letter = path.back(),
               .attempt = header.attempt,
               .step = header.step,
               .group = {},
               .holder = header.holder,
               .chunks = {},
               .bytes = header.bytes};
  for (uint32_t i = 0; i < header.members; ++i) {
    head.group.push_back({header.group[i].first_rank, header.group[i].ranks});
  }
  for (uint32_t i = 0; i < header.chunks; ++i) {
    const Header::Chunk& chunk = header.chunk[i];
    head.chunks.push_back({{{head.job_uid, head.step, head.attempt, chunk.rank, header.world_size},
                            checkpoint::kSlotLetters[(header.second >> i) & 1],
                            chunk.slot_bytes},
                           chunk.crc32c});
  }
  if (!IsWellFormed(head) || std::filesystem::path(path).filename().string() != head.file_name()) {
    return DataLoss("parity {}: its header is of another file", path);
  }
  return head;
}

}  // namespace

bool IsWellFormed(const RowHead& head) {
  if (!IsGroup(head.group) || head.holder >= head.group.size()) return false;
  const std::vector<uint32_t> ranks = RanksAt(head.group, head.holder, head.place);
  return head.chunks.size() == ranks.size() &&
         std::all_of(head.chunks.begin(), head.chunks.end(), [&](const RowChunk& chunk) {
           const checkpoint::SlotId& id = chunk.slot.id;
           return id.job_uid == head.job_uid && id.attempt == head.attempt &&
                  id.step == head.step && chunk.slot.bytes >= checkpoint::kSlotPageBytes &&
                  std::find(ranks.begin(), ranks.end(), id.rank) != ranks.end();
         });
}

std::string RowHead::file_name() const { return RowFileName(place, letter); }

std::string RowFileName(uint32_t place, char letter) {
  return fmt::format("p{:05}.{}", place, letter);
}

bool IsRowFileName(std::string_view name) {
  uint32_t place = 0;
  if (name.size() < 8 || name.front() != 'p') return false;
  std::from_chars(name.data() + 1, name.data() + name.size() - 2, place);
  return name == RowFileName(place, 'a') || name == RowFileName(place, 'b');
}

std::vector<std::string> RowsIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (IsRowFileName(at->path().filename().string())) paths.push_back(at->path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

RowFile::~RowFile() {
  if (fd_ >= 0) ::close(fd_);
}

RowFile& RowFile::operator=(RowFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

absl::StatusOr<RowFile> RowFile::Open(const std::string& path) {
  RowFile file(path, ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd_ < 0) return ErrnoError(errno, "open parity " + path);
  struct stat info {};
  if (::fstat(file.fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    return DataLoss("{}: no file of parity", path);
  }
  return file;
}

absl::StatusOr<RowFile> RowFile::Make(const std::string& path) {
  RowFile file(path, ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd_ < 0) return ErrnoError(errno, "make parity " + path);
  return file;
}

absl::StatusOr<RowHead> RowFile::Read() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return ErrnoError(errno, "look at parity " + path_);
  if (static_cast<uint64_t>(info.st_size) < kRowHeaderBytes) return NotFound("{}: empty", path_);
  Header header;
  Words words;
  MUSTER_RETURN_IF_ERROR(
      ReadAll(fd_, path_, kWordsAt, std::as_writable_bytes(std::span(&words, 1))));
  if (words.state != 1) return NotFound("{}: not sealed", path_);
  MUSTER_RETURN_IF_ERROR(ReadAll(fd_, path_, 0, std::as_writable_bytes(std::span(&header, 1))));
  MUSTER_ASSIGN_OR_RETURN(RowHead head, Parse(header, path_));
  if (static_cast<uint64_t>(info.st_size) - kRowHeaderBytes < head.bytes) {
    return DataLoss("parity {}: shorter than its {} bytes", path_, head.bytes);
  }
  head.kept_for = words.kept_for;
  for (size_t i = 0; i < head.chunks.size(); ++i) {
    head.chunks[i].slot.adopted_by = words.slot[i].adopted_by;
    head.chunks[i].slot.resumes = static_cast<uint32_t>(words.slot[i].resumes);
  }
  return head;
}

absl::Status RowFile::ReadAt(uint64_t offset, std::span<std::byte> bytes) const {
  return ReadAll(fd_, path_, kRowHeaderBytes + offset, bytes);
}

absl::Status RowFile::Begin() {
  // The header behind the word first would speak for a moment for what is no longer there.
  constexpr std::byte kNothing[kRowHeaderBytes] = {};
  MUSTER_RETURN_IF_ERROR(
      WriteAll(fd_, path_, kWordsAt, std::span(kNothing).first(kRowHeaderBytes - kWordsAt)));
  return WriteAll(fd_, path_, 0, std::span(kNothing).first(kWordsAt));
}

absl::Status RowFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  return WriteAll(fd_, path_, kRowHeaderBytes + offset, bytes);
}

absl::Status RowFile::Seal(const RowHead& head) {
  CHECK(head.group.size() <= kGroupMembersMax && head.chunks.size() <= kChunksMax,
        "a row of {} chunks of {} members", head.chunks.size(), head.group.size());
  CHECK(head.job_uid.size() <= checkpoint::kSlotUidBytesMax, "a row of {}", head.job_uid);
  Header header{};
  Words words{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.place = head.place;
  header.holder = head.holder;
  header.members = static_cast<uint32_t>(head.group.size());
  header.chunks = static_cast<uint32_t>(head.chunks.size());
  header.attempt = head.attempt;
  header.step = head.step;
  header.bytes = head.bytes;
  std::memcpy(header.job_uid, head.job_uid.data(), head.job_uid.size());
  for (size_t i = 0; i < head.group.size(); ++i) {
    header.group[i] = {head.group[i].first_rank, head.group[i].ranks};
  }
  for (size_t i = 0; i < head.chunks.size(); ++i) {
    const SlotHead& slot = head.chunks[i].slot;
    header.world_size = slot.id.world_size;
    header.chunk[i] = {slot.id.rank, head.chunks[i].crc32c, slot.bytes};
    if (slot.letter == checkpoint::kSlotLetters[1]) header.second |= uint32_t{1} << i;
    words.slot[i] = {slot.adopted_by, slot.resumes};
  }
  header.crc32c = CrcOf(header);
  words.kept_for = head.kept_for;
  MUSTER_RETURN_IF_ERROR(WriteAll(fd_, path_, 0, BytesOf(header)));
  MUSTER_RETURN_IF_ERROR(WriteAll(fd_, path_, kWordsAt, BytesOf(words)));
  words.state = 1;
  return WriteAll(fd_, path_, kWordsAt, BytesOf(words.state));
}

absl::Status RowFile::Adopt(size_t index, uint64_t adopted_by, uint32_t resumes) {
  const Words::Slot slot{adopted_by, resumes};
  return WriteAll(fd_, path_, kWordsAt + offsetof(Words, slot) + index * sizeof(slot),
                  BytesOf(slot));
}

absl::Status RowFile::KeepFor(uint64_t attempt) {
  return WriteAll(fd_, path_, kWordsAt + offsetof(Words, kept_for), BytesOf(attempt));
}

}  // namespace muster::worker::vault
