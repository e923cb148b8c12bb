// Boxes, pieces and file records as JSON; shared by shard digests and the manifest.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/shard.h"

namespace muster::checkpoint {

// {"begin","end","extent","file","offset"}: tensor, dtype and shape stand outside.
nlohmann::json PieceToJson(const Piece& piece);
// Checks the box and that the range has its size. `tensor` brings name, dtype and shape.
absl::StatusOr<Piece> PieceFromJson(const nlohmann::json& json, const Box& tensor);

// {"crc32c","name","size"}.
nlohmann::json FileToJson(const FileRecord& file);
// Checks the name (IsShardFile) and that there is one checksum per chunk.
absl::StatusOr<FileRecord> FileFromJson(const nlohmann::json& json);

// "data/<plain name>.safetensors": no other folder, no "..", nothing hidden.
bool IsShardFile(std::string_view name);

}  // namespace muster::checkpoint
