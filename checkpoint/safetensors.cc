#include "checkpoint/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr uint64_t kAlign = 4096;
constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit

uint64_t Length(std::string_view head) {
  uint64_t length = 0;
  for (size_t i = 0; i < 8; ++i) {
    length |= static_cast<uint64_t>(static_cast<unsigned char>(head[i])) << (8 * i);
  }
  return length;
}

}  // namespace

uint64_t ShardHeaderBytes(std::string_view head) {
  return head.size() < 8 ? 8 : 8 + std::min(Length(head), kHeaderBytesMax);
}

std::string SliceName(const Box& box) {
  return fmt::format("{}@{}", box.tensor, fmt::join(box.offset, ","));
}

std::string SafetensorsHeader(std::span<const Box> boxes,
                              const std::vector<std::pair<std::string, std::string>>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  nlohmann::ordered_json& notes = header["__metadata__"] = nlohmann::ordered_json::object();
  notes["format"] = "pt";  // what the usual readers ask for
  for (const auto& [key, value] : metadata) notes[key] = value;
  // With these a shard alone says where its slices belong.
  for (const Box& box : boxes) {
    notes["shape:" + box.tensor] = fmt::format("[{}]", fmt::join(box.shape, ","));
  }
  uint64_t begin = 0;
  for (const Box& box : boxes) {
    const uint64_t end = begin + ByteCount(box);
    header[SliceName(box)] = {
        {"dtype", DTypeName(box.dtype)}, {"shape", box.extent}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((kAlign - (8 + text.size()) % kAlign) % kAlign, ' ');
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  return out + text;
}

absl::StatusOr<ShardHeader> ParseSafetensorsHeader(std::string_view head) {
  if (head.size() < 8) return DataLoss("header: {} bytes, at least 8 are needed", head.size());
  const uint64_t length = Length(head);
  if (length > kHeaderBytesMax || length > head.size() - 8) {
    return DataLoss("header: its length {} is more than the file or the format allow", length);
  }
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json,
                          ParseJsonFieldsOnce(head.substr(8, length), "header"));
  if (!json.is_object()) return DataLoss("header: not an object");
  ShardHeader header;
  header.data_begin = 8 + length;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") continue;
    HeaderEntry entry;
    entry.name = name;
    MUSTER_ASSIGN_OR_RETURN(const std::string dtype, TextField(value, "dtype"));
    const std::optional<DType> known = DTypeFromName(dtype);
    if (!known) return DataLoss("header: {}: unknown dtype {}", name, dtype);
    entry.dtype = *known;
    MUSTER_ASSIGN_OR_RETURN(entry.shape, U64sField(value, "shape"));
    MUSTER_ASSIGN_OR_RETURN(const std::vector<uint64_t> range, U64sField(value, "data_offsets"));
    if (range.size() != 2 || range[0] > range[1]) {
      return DataLoss("header: {}: data_offsets are no range", name);
    }
    entry.begin = range[0];
    entry.end = range[1];
    uint64_t bytes = DTypeBytes(entry.dtype);
    for (uint64_t side : entry.shape) {
      if (__builtin_mul_overflow(bytes, side, &bytes)) {
        return DataLoss("header: {}: its size overflows", name);
      }
    }
    if (bytes != entry.end - entry.begin) {
      return DataLoss("header: {}: {} bytes by shape, {} by data_offsets", name, bytes,
                      entry.end - entry.begin);
    }
    header.entries.push_back(std::move(entry));
  }
  std::sort(header.entries.begin(), header.entries.end(),
            [](const HeaderEntry& a, const HeaderEntry& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  for (const HeaderEntry& entry : header.entries) {
    if (entry.begin != header.data_bytes) {
      return DataLoss("header: {} begins at {}, the slice before ends at {}", entry.name,
                      entry.begin, header.data_bytes);
    }
    header.data_bytes = entry.end;
  }
  return header;
}

}  // namespace muster::checkpoint
