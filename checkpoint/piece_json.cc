#include "checkpoint/piece_json.h"

#include <cctype>

#include "checkpoint/digest.h"
#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::checkpoint {

nlohmann::json PieceToJson(const Piece& piece) {
  return {{"begin", piece.begin},
          {"end", piece.end},
          {"extent", piece.box.extent},
          {"file", piece.file},
          {"offset", piece.box.offset}};
}

absl::StatusOr<Piece> PieceFromJson(const nlohmann::json& json, const Box& tensor) {
  Piece piece{.box = tensor, .file = {}};
  MUSTER_ASSIGN_OR_RETURN(piece.begin, U64Field(json, "begin"));
  MUSTER_ASSIGN_OR_RETURN(piece.end, U64Field(json, "end"));
  MUSTER_ASSIGN_OR_RETURN(piece.box.extent, U64sField(json, "extent"));
  MUSTER_ASSIGN_OR_RETURN(piece.file, TextField(json, "file"));
  MUSTER_ASSIGN_OR_RETURN(piece.box.offset, U64sField(json, "offset"));
  if (const absl::Status valid = ValidateBox(piece.box); !valid.ok()) {
    return DataLoss("{}", std::string(valid.message()));
  }
  if (piece.end < piece.begin || piece.end - piece.begin != ByteCount(piece.box)) {
    return DataLoss("{}: bytes {}-{} do not have its size", BoxText(piece.box), piece.begin,
                    piece.end);
  }
  return piece;
}

nlohmann::json FileToJson(const FileRecord& file) {
  return {{"crc32c", file.chunk_crc32c}, {"name", file.name}, {"size", file.size}};
}

absl::StatusOr<FileRecord> FileFromJson(const nlohmann::json& json) {
  FileRecord file;
  MUSTER_ASSIGN_OR_RETURN(file.name, TextField(json, "name"));
  MUSTER_ASSIGN_OR_RETURN(file.size, U64Field(json, "size"));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<uint64_t> sums, U64sField(json, "crc32c"));
  if (!IsShardFile(file.name)) return DataLoss("a file has a name that is none of ours");
  const uint64_t chunks = file.size / kChunkBytes + (file.size % kChunkBytes != 0);
  if (sums.size() != chunks) {
    return DataLoss("{}: {} checksums for {} chunks", file.name, sums.size(), chunks);
  }
  for (uint64_t sum : sums) {
    if (sum > UINT32_MAX) return DataLoss("{}: {} is no CRC32C", file.name, sum);
    file.chunk_crc32c.push_back(static_cast<uint32_t>(sum));
  }
  return file;
}

bool IsShardFile(std::string_view name) {
  constexpr std::string_view kFolder = "data/", kEnd = ".safetensors";
  if (name.size() <= kFolder.size() + kEnd.size() || name.size() > 200) return false;
  if (!name.starts_with(kFolder) || !name.ends_with(kEnd)) return false;
  name.remove_prefix(kFolder.size());
  if (name.front() == '.') return false;
  for (char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (!plain) return false;
  }
  return true;
}

}  // namespace muster::checkpoint
