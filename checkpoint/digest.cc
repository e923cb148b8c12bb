#include "checkpoint/digest.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <algorithm>

#include "common/check.h"

namespace muster::checkpoint {

uint32_t Crc32c(uint32_t crc, std::span<const std::byte> bytes) {
  crc = ~crc;
  while (!bytes.empty()) {
    const size_t part = std::min<size_t>(bytes.size(), 1u << 30);  // ISA-L counts in int
    // ISA-L forgot the const.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    crc = crc32_iscsi(data, static_cast<int>(part), crc);
    bytes = bytes.subspan(part);
  }
  return ~crc;
}

void ChunkCrc::Add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const uint64_t room = kChunkBytes - size_ % kChunkBytes;
    const auto part = bytes.first(std::min<size_t>(bytes.size(), room));
    crc_ = Crc32c(crc_, part);
    size_ += part.size();
    if (size_ % kChunkBytes == 0) {
      done_.push_back(crc_);
      crc_ = 0;
    }
    bytes = bytes.subspan(part.size());
  }
}

std::vector<uint32_t> ChunkCrc::Finish() {
  if (size_ % kChunkBytes != 0) done_.push_back(crc_);
  return std::move(done_);
}

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[32];
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) == 1,
        "SHA-256 is not available");
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned char byte : digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace muster::checkpoint
