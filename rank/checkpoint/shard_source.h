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
#include "checkpoint/chunks_ahead.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"

namespace muster::rank {

class ShardSource {
 public:
  virtual ~ShardSource() = default;

  // All chunks that will be asked for, rising.
  virtual void Expect(std::vector<checkpoint::ChunkKey> order) = 0;
  // Valid until another chunk is asked for. Errors: kDataLoss.
  virtual absl::StatusOr<std::span<const std::byte>> Chunk(checkpoint::ChunkKey key) = 0;
  // Chunks cost nothing, in whatever order.
  virtual bool in_memory() const = 0;
};

// Shards in memory, verified by whoever gives them.
class MemoryShards : public ShardSource {
 public:
  explicit MemoryShards(size_t files) : images_(files) {}
  void Add(size_t file, std::span<const std::byte> image) { images_[file] = image; }

  void Expect(std::vector<checkpoint::ChunkKey> /*order*/) override {}
  absl::StatusOr<std::span<const std::byte>> Chunk(checkpoint::ChunkKey key) override;
  bool in_memory() const override { return true; }

 private:
  std::vector<std::span<const std::byte>> images_;
};

// Shards on storage; every chunk is checked when it is read, and read while those before are used.
class StoredShards : public ShardSource {
 public:
  // All but `folder` outlive it.
  StoredShards(const checkpoint::Manifest& manifest, std::string folder,
               checkpoint::FileSystem& files)
      : manifest_(manifest), folder_(std::move(folder)), files_(files) {}

  void Expect(std::vector<checkpoint::ChunkKey> order) override;
  // CHECKs that it is the last one or the next one of the order.
  absl::StatusOr<std::span<const std::byte>> Chunk(checkpoint::ChunkKey key) override;
  bool in_memory() const override { return false; }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  const checkpoint::Manifest& manifest_;
  const std::string folder_;
  checkpoint::FileSystem& files_;
  std::optional<checkpoint::ChunksAhead> ahead_;
  std::optional<checkpoint::ChunkKey> key_;  // of the last chunk
  std::span<const std::byte> chunk_;
  uint64_t bytes_read_ = 0;
};

}  // namespace muster::rank
