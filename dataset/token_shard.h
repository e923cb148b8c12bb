// One file of tokens: a 64-byte header, then uint16 little-endian tokens.
//
//   0  "MUSTRTOK"   8 u32 version = 1   12 u32 bytes per token = 2   16 u64 tokens
//   24 u32 CRC32C of the tokens         28 u32 CRC32C of bytes 0-27  32 zeros
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::dataset {

inline constexpr uint64_t kShardHeaderBytes = 64;

// Writes folder/name durably: temporary name, sync, rename. Returns the file's SHA-256.
// Errors: kResourceExhausted says how many bytes were needed; nothing is left behind.
absl::StatusOr<std::string> WriteTokenShard(const std::string& folder, const std::string& name,
                                            std::span<const uint16_t> tokens);

// A mapped shard. Moves; unmaps when it goes.
class TokenShard {
 public:
  // Checks header and size against `tokens`; the tokens themselves only in VerifyTokens().
  static absl::StatusOr<TokenShard> Open(const std::string& path, uint64_t tokens);

  TokenShard(TokenShard&& other) noexcept;
  TokenShard& operator=(TokenShard&& other) noexcept;
  TokenShard(const TokenShard&) = delete;
  TokenShard& operator=(const TokenShard&) = delete;
  ~TokenShard();

  std::span<const uint16_t> tokens() const;
  std::span<const std::byte> file_bytes() const;
  const std::string& path() const { return path_; }
  absl::Status VerifyTokens() const;  // the CRC32C in the header

 private:
  TokenShard() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace muster::dataset
