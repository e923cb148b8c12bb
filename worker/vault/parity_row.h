// One row of parity on storage in memory: `p00003.a` and `p00003.b` in a job's folder are the two
// rows of the place 3 (parity_group.h). Bytes: docs/formats/ram_slot.md.
//
// A row reads as nothing until it is sealed, and from Begin on; so whatever is cut short is gone.
// What was computed from it is verified against the checksum each chunk came with.
//
// Threads: plain value; what Adopt and KeepFor change by one at a time.
// Owns:    the descriptor, never the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/vault/parity_group.h"
#include "worker/vault/slot_head.h"

namespace muster::worker::vault {

inline constexpr uint64_t kRowHeaderBytes = 4096;

// What one rank gave to a row.
struct RowChunk {
  SlotHead slot;
  uint32_t crc32c = 0;
};

struct RowHead {
  std::string job_uid;
  uint32_t place = 0;
  char letter = 'a';
  uint64_t attempt = 0;  // of the slots
  uint64_t step = 0;
  ParityGroup group;
  uint32_t holder = 0;
  std::vector<RowChunk> chunks;  // by rank: all there are, once it is sealed
  uint64_t bytes = 0;            // the longest chunk's
  uint64_t kept_for = 0;         // the attempt it was last kept for; not sent

  std::string file_name() const;
};

// Every number in it fits the others: what it says of ranks may be computed with.
bool IsWellFormed(const RowHead& head);

std::string RowFileName(uint32_t place, char letter);  // 3, 'a' → "p00003.a"
bool IsRowFileName(std::string_view name);
std::vector<std::string> RowsIn(const std::string& folder);  // paths, by name

class RowFile {
 public:
  RowFile() = default;
  ~RowFile();
  RowFile(RowFile&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  RowFile& operator=(RowFile&& other) noexcept;

  // Errors: kNotFound; kDataLoss: no regular file.
  static absl::StatusOr<RowFile> Open(const std::string& path);
  // What is there already is memory that was found before.
  static absl::StatusOr<RowFile> Make(const std::string& path);

  const std::string& path() const { return path_; }

  // Header, verified. Errors: kNotFound: not sealed; kDataLoss.
  absl::StatusOr<RowHead> Read() const;
  // `bytes` of the row from `offset` on. Errors: kDataLoss: it is shorter.
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) const;

  // From here on it holds nothing.
  absl::Status Begin();
  // Errors: kResourceExhausted.
  absl::Status WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  absl::Status Seal(const RowHead& head);

  // Of a sealed one: what became of the slot of chunk `index` since.
  absl::Status Adopt(size_t index, uint64_t adopted_by, uint32_t resumes);
  absl::Status KeepFor(uint64_t attempt);

 private:
  RowFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_ = -1;
};

}  // namespace muster::worker::vault
