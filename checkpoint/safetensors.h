// The header of a safetensors file, written and read.
//
// File: u64 little-endian N, N bytes of JSON, data. We pad the JSON with spaces so that 8 + N is a
// multiple of 4096.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/box.h"

namespace muster::checkpoint {

// "blocks.0.wq@0,128"; a scalar is "step@".
std::string SliceName(const Box& box);

struct HeaderEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;  // the slice's extent
  uint64_t begin = 0;           // from the start of the data
  uint64_t end = 0;
};

struct ShardHeader {
  std::vector<HeaderEntry> entries;  // by `begin`
  uint64_t data_begin = 0;           // 8 + N
  uint64_t data_bytes = 0;
};

// The first 8 + N bytes of a file whose data are `boxes` one after the other.
std::string SafetensorsHeader(std::span<const Box> boxes,
                              const std::vector<std::pair<std::string, std::string>>& metadata);

// 8 + N as the first 8 bytes say, at most what the format allows; 8 if there are fewer.
uint64_t ShardHeaderBytes(std::string_view head);

// Reads a header back; `head` begins with the file's first bytes and holds at least 8 + N.
// Errors: kDataLoss, says what is wrong: length, JSON, unknown dtype, holes or overlaps in the
// data.
absl::StatusOr<ShardHeader> ParseSafetensorsHeader(std::string_view head);

}  // namespace muster::checkpoint
