#include "rank/checkpoint/shard_source.h"

#include <algorithm>

#include "checkpoint/digest.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::rank {

absl::StatusOr<std::span<const std::byte>> MemoryShards::Chunk(size_t file, uint64_t index) {
  const std::span<const std::byte> image = images_[file];
  const uint64_t begin = index * checkpoint::kChunkBytes;
  CHECK(begin < image.size(), "chunk {} of a shard of {} bytes", index, image.size());
  return image.subspan(begin, std::min<uint64_t>(checkpoint::kChunkBytes, image.size() - begin));
}

absl::StatusOr<std::span<const std::byte>> StoredShards::Chunk(size_t file, uint64_t index) {
  if (!reader_.has_value() || file != file_) {
    chunk_ = {};
    reader_.reset();
    MUSTER_ASSIGN_OR_RETURN(checkpoint::ChunkReader reader,
                            checkpoint::ChunkReader::Open(files_, folder_, manifest_.files[file]));
    reader_.emplace(std::move(reader));
    file_ = file;
  }
  if (chunk_.empty() || index != index_) {
    chunk_ = {};
    MUSTER_ASSIGN_OR_RETURN(chunk_, reader_->Read(index));
    index_ = index;
    bytes_read_ += chunk_.size();
  }
  return chunk_;
}

}  // namespace muster::rank
