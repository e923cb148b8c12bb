#include "checkpoint/shard.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "checkpoint/digest.h"
#include "checkpoint/piece_json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr size_t kWriteBytes = 4u << 20;

// The boxes to write, widest dtype first so that each begins at a multiple of its element's size.
absl::StatusOr<std::vector<size_t>> FileOrder(std::span<const Box> boxes) {
  std::vector<size_t> out;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const Box& box = boxes[i];
    MUSTER_RETURN_IF_ERROR(ValidateBox(box));
    const bool empty_tensor = std::find(box.shape.begin(), box.shape.end(), 0u) != box.shape.end();
    if (!IsEmpty(box) || empty_tensor) out.push_back(i);
  }
  std::sort(out.begin(), out.end(), [&boxes](size_t left, size_t right) {
    const Box &a = boxes[left], &b = boxes[right];
    const uint64_t a_bytes = DTypeBytes(a.dtype), b_bytes = DTypeBytes(b.dtype);
    return std::tie(b_bytes, a.tensor, a.offset) < std::tie(a_bytes, b.tensor, b.offset);
  });
  for (size_t i = 1; i < out.size(); ++i) {
    const Box &before = boxes[out[i - 1]], &box = boxes[out[i]];
    if (SliceName(box) == SliceName(before)) {
      return InvalidArgument("{} and {} in one shard", BoxText(before), BoxText(box));
    }
  }
  return out;
}

using Parts = std::vector<std::span<const std::byte>>;

absl::Status WriteAll(FileSystem& files, const std::string& path, const Parts& parts,
                      ChunkCrc& crc) {
  MUSTER_ASSIGN_OR_RETURN(auto file, files.Create(path));
  // Small writes for a checksum of bytes that are still in the cache.
  for (const std::span<const std::byte> whole : parts) {
    for (size_t begin = 0; begin < whole.size(); begin += kWriteBytes) {
      const auto part = whole.subspan(begin, std::min(kWriteBytes, whole.size() - begin));
      crc.Add(part);
      MUSTER_RETURN_IF_ERROR(file->Append(part));
    }
  }
  MUSTER_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

constexpr std::string_view kFolderName = "data/";
constexpr std::string_view kSuffix = ".safetensors";

// "data/w00005.safetensors" → "w00005"
std::string WriterOf(const std::string& name) {
  return name.substr(kFolderName.size(), name.size() - kFolderName.size() - kSuffix.size());
}

absl::StatusOr<ShardDigest> WriteParts(const std::string& folder, const ShardLayout& layout,
                                       const Parts& parts, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const bool committed, files.Exists(folder + "/COMMIT"));
  if (committed) {
    return AlreadyExists("save {}/{}: the checkpoint is committed; nothing was written", folder,
                         layout.name);
  }
  const std::string data = folder + "/data";
  const std::string path = folder + "/" + layout.name;
  const std::string temporary = data + "/.tmp-" + WriterOf(layout.name);
  ChunkCrc crc;
  absl::Status status = MakeFolders(files, data);
  if (status.ok()) status = WriteAll(files, temporary, parts, crc);
  if (status.ok()) status = files.Rename(temporary, path);
  if (!status.ok()) {
    // The bytes free are told as they were with our temporary file gone.
    files.RemoveFile(temporary).IgnoreError();
    return ExplainSave(files, folder, path, layout.bytes, status);
  }
  MUSTER_RETURN_IF_ERROR(files.SyncFolder(data));
  return ShardDigest{{layout.name, crc.size(), crc.Finish()}, layout.pieces};
}

}  // namespace

absl::Status ExplainSave(FileSystem& files, const std::string& folder, const std::string& name,
                         uint64_t bytes, const absl::Status& status) {
  std::string what = fmt::format("save {}", name);
  if (absl::IsResourceExhausted(status)) {
    const absl::StatusOr<uint64_t> free = files.FreeBytes(folder);
    what = fmt::format(
        "save {}: {} bytes needed, {} free in {}; make room or set checkpoint.path "
        "elsewhere",
        name, bytes, free.ok() ? fmt::format("{}", *free) : "unknown", folder);
  } else if (absl::IsPermissionDenied(status)) {
    what = fmt::format("save {}: {} cannot be written; check its mount and owner", name, folder);
  }
  return Annotate(status, what);
}

std::string WriterName(uint64_t rank) { return fmt::format("w{:05}", rank); }

std::string SerializeDigest(const ShardDigest& digest) {
  nlohmann::json pieces = nlohmann::json::array();
  for (const Piece& piece : digest.pieces) {
    nlohmann::json json = PieceToJson(piece);
    json["tensor"] = piece.box.tensor;
    json["dtype"] = DTypeName(piece.box.dtype);
    json["shape"] = piece.box.shape;
    pieces.push_back(std::move(json));
  }
  return JsonText({{"file", FileToJson(digest.file)}, {"pieces", std::move(pieces)}});
}

absl::StatusOr<ShardDigest> ParseDigest(std::string_view bytes) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(bytes, "shard digest"));
  ShardDigest digest;
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* file, ObjectField(json, "file"));
  MUSTER_ASSIGN_OR_RETURN(digest.file, FileFromJson(*file));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* pieces, ArrayField(json, "pieces"));
  for (const nlohmann::json& item : *pieces) {
    Box tensor;
    MUSTER_ASSIGN_OR_RETURN(tensor.tensor, TextField(item, "tensor"));
    MUSTER_ASSIGN_OR_RETURN(const std::string dtype, TextField(item, "dtype"));
    MUSTER_ASSIGN_OR_RETURN(tensor.shape, U64sField(item, "shape"));
    const std::optional<DType> known = DTypeFromName(dtype);
    if (!known) return DataLoss("shard digest: unknown dtype {}", dtype);
    tensor.dtype = *known;
    MUSTER_ASSIGN_OR_RETURN(Piece piece, PieceFromJson(item, tensor));
    if (piece.file != digest.file.name || piece.end > digest.file.size) {
      return DataLoss("shard digest: {} is not inside {}", BoxText(piece.box), digest.file.name);
    }
    digest.pieces.push_back(std::move(piece));
  }
  if (SerializeDigest(digest) != bytes) return DataLoss("shard digest: not the canonical text");
  return digest;
}

absl::StatusOr<ShardLayout> LayOutShard(
    const std::string& writer, std::span<const Box> boxes,
    const std::vector<std::pair<std::string, std::string>>& metadata) {
  ShardLayout layout;
  layout.name = fmt::format("{}{}{}", kFolderName, writer, kSuffix);
  if (!IsShardFile(layout.name)) {
    return InvalidArgument("writer name \"{}\": use letters, digits and . _ -", writer);
  }
  MUSTER_ASSIGN_OR_RETURN(layout.source, FileOrder(boxes));
  std::vector<Box> ordered;
  ordered.reserve(layout.source.size());
  for (const size_t index : layout.source) ordered.push_back(boxes[index]);
  layout.header = SafetensorsHeader(ordered, metadata);
  layout.bytes = layout.header.size();
  for (const Box& box : ordered) {
    const uint64_t begin = layout.bytes;
    layout.bytes += ByteCount(box);
    layout.pieces.push_back({box, layout.name, begin, layout.bytes});
  }
  return layout;
}

absl::StatusOr<ShardDigest> WriteShard(
    const std::string& folder, const std::string& writer, std::span<const Slice> slices,
    const std::vector<std::pair<std::string, std::string>>& metadata, FileSystem& files) {
  std::vector<Box> boxes;
  boxes.reserve(slices.size());
  for (const Slice& slice : slices) boxes.push_back(slice.box);
  MUSTER_ASSIGN_OR_RETURN(const ShardLayout layout, LayOutShard(writer, boxes, metadata));
  for (const Slice& slice : slices) {
    if (slice.bytes.size() != ByteCount(slice.box)) {
      return InvalidArgument("{}: {} bytes given, {} needed", BoxText(slice.box),
                             slice.bytes.size(), ByteCount(slice.box));
    }
  }
  Parts parts = {std::as_bytes(std::span(layout.header))};
  for (const size_t index : layout.source) parts.push_back(slices[index].bytes);
  return WriteParts(folder, layout, parts, files);
}

absl::StatusOr<ShardDigest> WriteShardImage(const std::string& folder, const ShardLayout& layout,
                                            std::span<const std::byte> image, FileSystem& files) {
  if (image.size() != layout.bytes) {
    return InvalidArgument("save {}/{}: {} bytes given, {} needed", folder, layout.name,
                           image.size(), layout.bytes);
  }
  return WriteParts(folder, layout, {image}, files);
}

}  // namespace muster::checkpoint
