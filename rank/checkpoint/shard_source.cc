#include "rank/checkpoint/shard_source.h"

#include <algorithm>
#include <utility>

#include "checkpoint/digest.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::rank {

absl::StatusOr<std::span<const std::byte>> MemoryShards::Chunk(checkpoint::ChunkKey key) {
  const std::span<const std::byte> image = images_[key.file];
  const uint64_t begin = key.index * checkpoint::kChunkBytes;
  CHECK(begin < image.size(), "chunk {} of a shard of {} bytes", key.index, image.size());
  return image.subspan(begin, std::min<uint64_t>(checkpoint::kChunkBytes, image.size() - begin));
}

void StoredShards::Expect(std::vector<checkpoint::ChunkKey> order) {
  key_.reset();
  ahead_.emplace(files_, folder_, manifest_, std::move(order));
}

absl::StatusOr<std::span<const std::byte>> StoredShards::Chunk(checkpoint::ChunkKey key) {
  if (key_ != key) {
    CHECK(ahead_->key() == key, "chunk {} of file {} out of turn", key.index, key.file);
    key_.reset();
    MUSTER_ASSIGN_OR_RETURN(chunk_, ahead_->Next());
    key_ = key;
    bytes_read_ += chunk_.size();
  }
  return chunk_;
}

}  // namespace muster::rank
