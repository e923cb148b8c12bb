// A shard: one writer's slices, as one valid safetensors file of a checkpoint.
//
// `data/<writer>.safetensors`: header padded with spaces so that the data begin on a 4 KiB border;
// slices named `<tensor>@<offset,...>`; CRC32C per 16 MiB over the whole file, header included,
// kept in the digest (the file itself carries none). See docs/formats/checkpoint.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/box.h"
#include "checkpoint/file_system.h"

namespace muster::checkpoint {

struct Slice {
  Box box;
  std::span<const std::byte> bytes;  // ByteCount(box), alive until WriteShard returns
};

// Where a box's bytes lie in a checkpoint.
struct Piece {
  Box box;
  std::string file;    // "data/w00005.safetensors"
  uint64_t begin = 0;  // byte range in the file, [begin, end)
  uint64_t end = 0;

  bool operator==(const Piece&) const = default;
};

struct FileRecord {
  std::string name;
  uint64_t size = 0;
  std::vector<uint32_t> chunk_crc32c;

  bool operator==(const FileRecord&) const = default;
};

// What the one who builds the manifest must know about a shard.
struct ShardDigest {
  FileRecord file;
  std::vector<Piece> pieces;

  bool operator==(const ShardDigest&) const = default;
};

std::string SerializeDigest(const ShardDigest& digest);  // JSON; for gathering on rank 0
absl::StatusOr<ShardDigest> ParseDigest(std::string_view bytes);

std::string WriterName(uint64_t rank);  // 5 → "w00005"

// Where everything in a shard will lie, before a byte of it is written.
struct ShardLayout {
  std::string name;            // "data/w00005.safetensors"
  std::string header;          // the file's first bytes
  std::vector<Piece> pieces;   // in file order, without empty boxes of tensors that are not empty
  std::vector<size_t> source;  // of each piece: its index among the boxes given
  uint64_t bytes = 0;          // of the whole file
};

// Boxes may come in any order. `metadata` goes into the safetensors header.
// Errors: kInvalidArgument for a bad writer name or box, or a slice named twice.
absl::StatusOr<ShardLayout> LayOutShard(
    const std::string& writer, std::span<const Box> boxes,
    const std::vector<std::pair<std::string, std::string>>& metadata = {});

// Writes `<folder>/data/<writer>.safetensors` durably (temporary name, fdatasync, rename, sync of
// the folder); makes data/ if missing. Slices may come in any order; empty boxes of non-empty
// tensors are left out. No slices: a valid file without tensors. `metadata` goes into the
// safetensors header. An older file of that name is replaced.
//
// Errors: kInvalidArgument for bad slices. kAlreadyExists if the folder is committed: what is
// committed is never written to again. kResourceExhausted says how many bytes were needed and
// free; the temporary file is gone then.
absl::StatusOr<ShardDigest> WriteShard(
    const std::string& folder, const std::string& writer, std::span<const Slice> slices,
    const std::vector<std::pair<std::string, std::string>>& metadata = {},
    FileSystem& files = PosixFiles());

// A failed write of shard `name` of `bytes`, as people are told it: what was needed and free, what
// to do.
absl::Status ExplainSave(FileSystem& files, const std::string& folder, const std::string& name,
                         uint64_t bytes, const absl::Status& status);

// The same from memory that already holds the file's bytes as `layout` says.
absl::StatusOr<ShardDigest> WriteShardImage(const std::string& folder, const ShardLayout& layout,
                                            std::span<const std::byte> image,
                                            FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
