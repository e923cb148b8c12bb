// Bytes of the shards of one checkpoint, a chunk at a time.
//
// Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/chunk_reader.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"

namespace muster::rank {

class ShardSource {
 public:
  virtual ~ShardSource() = default;

  // Chunk `index` of a file of the manifest; valid until another chunk is asked for.
  // Errors: kDataLoss.
  virtual absl::StatusOr<std::span<const std::byte>> Chunk(size_t file, uint64_t index) = 0;
  // Chunks cost nothing, in whatever order.
  virtual bool in_memory() const = 0;
};

// Shards in memory, verified by whoever gives them.
class MemoryShards : public ShardSource {
 public:
  explicit MemoryShards(size_t files) : images_(files) {}
  void Add(size_t file, std::span<const std::byte> image) { images_[file] = image; }

  absl::StatusOr<std::span<const std::byte>> Chunk(size_t file, uint64_t index) override;
  bool in_memory() const override { return true; }

 private:
  std::vector<std::span<const std::byte>> images_;
};

// Shards on storage; every chunk is checked when it is read.
class StoredShards : public ShardSource {
 public:
  // All but `folder` outlive it.
  StoredShards(const checkpoint::Manifest& manifest, std::string folder,
               checkpoint::FileSystem& files)
      : manifest_(manifest), folder_(std::move(folder)), files_(files) {}

  absl::StatusOr<std::span<const std::byte>> Chunk(size_t file, uint64_t index) override;
  bool in_memory() const override { return false; }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  const checkpoint::Manifest& manifest_;
  const std::string folder_;
  checkpoint::FileSystem& files_;
  std::optional<checkpoint::ChunkReader> reader_;
  size_t file_ = 0;     // of the reader
  uint64_t index_ = 0;  // of the chunk
  std::span<const std::byte> chunk_;
  uint64_t bytes_read_ = 0;
};

}  // namespace muster::rank
