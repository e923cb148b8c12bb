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

// The slices to write, widest dtype first so that each begins at a multiple of its element's size.
absl::StatusOr<std::vector<Slice>> InFileOrder(std::span<const Slice> slices) {
  std::vector<Slice> out;
  for (const Slice& slice : slices) {
    MUSTER_RETURN_IF_ERROR(ValidateBox(slice.box));
    if (slice.bytes.size() != ByteCount(slice.box)) {
      return InvalidArgument("{}: {} bytes given, {} needed", BoxText(slice.box),
                             slice.bytes.size(), ByteCount(slice.box));
    }
    const bool empty_tensor =
        std::find(slice.box.shape.begin(), slice.box.shape.end(), 0u) != slice.box.shape.end();
    if (IsEmpty(slice.box) && !empty_tensor) continue;
    out.push_back(slice);
  }
  std::sort(out.begin(), out.end(), [](const Slice& a, const Slice& b) {
    const uint64_t a_bytes = DTypeBytes(a.box.dtype), b_bytes = DTypeBytes(b.box.dtype);
    return std::tie(b_bytes, a.box.tensor, a.box.offset) <
           std::tie(a_bytes, b.box.tensor, b.box.offset);
  });
  for (size_t i = 1; i < out.size(); ++i) {
    if (SliceName(out[i].box) == SliceName(out[i - 1].box)) {
      return InvalidArgument("{} and {} in one shard", BoxText(out[i - 1].box),
                             BoxText(out[i].box));
    }
  }
  return out;
}

absl::Status WriteAll(FileSystem& files, const std::string& path, const std::string& header,
                      std::span<const Slice> slices, ChunkCrc& crc) {
  MUSTER_ASSIGN_OR_RETURN(auto file, files.Create(path));
  const auto head = std::as_bytes(std::span(header));
  crc.Add(head);
  MUSTER_RETURN_IF_ERROR(file->Append(head));
  // Small writes for a checksum of bytes that are still in the cache.
  for (const Slice& slice : slices) {
    for (size_t begin = 0; begin < slice.bytes.size(); begin += kWriteBytes) {
      const auto part =
          slice.bytes.subspan(begin, std::min(kWriteBytes, slice.bytes.size() - begin));
      crc.Add(part);
      MUSTER_RETURN_IF_ERROR(file->Append(part));
    }
  }
  MUSTER_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

absl::Status Explain(FileSystem& files, const std::string& folder, const std::string& name,
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

}  // namespace

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
  return digest;
}

absl::StatusOr<ShardDigest> WriteShard(
    const std::string& folder, const std::string& writer, std::span<const Slice> slices,
    const std::vector<std::pair<std::string, std::string>>& metadata, FileSystem& files) {
  const std::string name = "data/" + writer + ".safetensors";
  if (!IsShardFile(name)) {
    return InvalidArgument("writer name \"{}\": use letters, digits and . _ -", writer);
  }
  MUSTER_ASSIGN_OR_RETURN(const bool committed, files.Exists(folder + "/COMMIT"));
  if (committed) {
    return AlreadyExists("save {}/{}: the checkpoint is committed; nothing was written", folder,
                         name);
  }
  MUSTER_ASSIGN_OR_RETURN(const std::vector<Slice> ordered, InFileOrder(slices));
  std::vector<Box> boxes;
  boxes.reserve(ordered.size());
  for (const Slice& slice : ordered) boxes.push_back(slice.box);
  const std::string header = SafetensorsHeader(boxes, metadata);

  ShardDigest digest;
  digest.file.name = name;
  uint64_t end = header.size();
  for (const Box& box : boxes) {
    const uint64_t begin = end;
    end += ByteCount(box);
    digest.pieces.push_back({box, name, begin, end});
  }

  const std::string data = folder + "/data";
  const std::string temporary = data + "/.tmp-" + writer;
  ChunkCrc crc;
  absl::Status status = MakeFolders(files, data);
  if (status.ok()) status = WriteAll(files, temporary, header, ordered, crc);
  if (status.ok()) status = files.Rename(temporary, folder + "/" + name);
  if (!status.ok()) {
    // The bytes free are told as they were with our temporary file gone.
    files.RemoveFile(temporary).IgnoreError();
    return Explain(files, folder, folder + "/" + name, end, status);
  }
  MUSTER_RETURN_IF_ERROR(files.SyncFolder(data));
  digest.file.size = crc.size();
  digest.file.chunk_crc32c = crc.Finish();
  return digest;
}

}  // namespace muster::checkpoint
