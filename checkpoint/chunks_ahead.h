// Chunks of one checkpoint's shards in a given order: the next two are read and checked while the
// last one is used.
//
// Threads: one calls; each chunk is read by one of its own. The destructor waits for them.
// Memory:  three chunks.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/chunk_reader.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"

namespace muster::checkpoint {

struct ChunkKey {
  size_t file = 0;  // in the manifest's files
  uint64_t index = 0;

  auto operator<=>(const ChunkKey&) const = default;
};

class ChunksAhead {
 public:
  // `files` and `manifest` outlive it. Each lane opens a file once, while its chunks follow each
  // other.
  ChunksAhead(FileSystem& files, std::string folder, const Manifest& manifest,
              std::vector<ChunkKey> order)
      : files_(files), folder_(std::move(folder)), manifest_(manifest), order_(std::move(order)) {}
  ChunksAhead(const ChunksAhead&) = delete;
  ChunksAhead& operator=(const ChunksAhead&) = delete;

  bool done() const { return next_ == order_.size(); }
  // Of the next chunk. CHECKs that there is one.
  ChunkKey key() const;
  // The next chunk; valid until the call after. Errors: as ChunkReader; the one after may be asked
  // for all the same.
  absl::StatusOr<std::span<const std::byte>> Next();

 private:
  struct Lane {
    size_t file = 0;  // of the reader
    std::optional<ChunkReader> reader;
    std::future<absl::StatusOr<std::span<const std::byte>>> coming;
  };

  void BeginUpTo(size_t end, std::launch how);
  absl::StatusOr<std::span<const std::byte>> Read(Lane& lane, ChunkKey key);

  FileSystem& files_;
  const std::string folder_;
  const Manifest& manifest_;
  const std::vector<ChunkKey> order_;
  size_t next_ = 0;
  size_t begun_ = 0;
  std::array<Lane, 3> lanes_;  // by turns
};

}  // namespace muster::checkpoint
