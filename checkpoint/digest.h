// CRC32C (Castagnoli) for damage, SHA-256 for identity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster::checkpoint {

inline constexpr uint64_t kChunkBytes = 16ull << 20;  // a file's checksums are per 16 MiB

// Extends `crc` (0 for the start) by bytes: Crc32c(Crc32c(0, a), b) = Crc32c(0, ab).
uint32_t Crc32c(uint32_t crc, std::span<const std::byte> bytes);

// Checksums a stream of bytes chunk by chunk.
class ChunkCrc {
 public:
  void Add(std::span<const std::byte> bytes);
  uint64_t size() const { return size_; }
  std::vector<uint32_t> Finish();  // the last chunk may be short; none for zero bytes

 private:
  uint64_t size_ = 0;
  uint32_t crc_ = 0;
  std::vector<uint32_t> done_;
};

std::string Sha256Hex(std::string_view bytes);  // 64 lower-case digits

}  // namespace muster::checkpoint
