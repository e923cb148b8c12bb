// SHA-256 and CRC32C for the files of a dataset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace muster::dataset {

std::string Sha256Hex(std::span<const std::byte> bytes);  // 64 lower-case digits
std::string Sha256Hex(std::string_view text);
std::string Sha256Hex(std::span<const std::span<const std::byte>> parts);  // one after the other
uint32_t Crc32c(std::span<const std::byte> bytes);

}  // namespace muster::dataset
