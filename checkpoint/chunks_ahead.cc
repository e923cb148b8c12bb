#include "checkpoint/chunks_ahead.h"

#include <algorithm>

#include "common/check.h"
#include "common/status.h"

namespace muster::checkpoint {

ChunkKey ChunksAhead::key() const {
  CHECK(!done(), "all {} chunks were read", order_.size());
  return order_[next_];
}

absl::StatusOr<std::span<const std::byte>> ChunksAhead::Next() {
  CHECK(!done(), "all {} chunks were read", order_.size());
  BeginUpTo(next_ + 1, std::launch::deferred);  // nobody has anything to do before the first
  absl::StatusOr<std::span<const std::byte>> chunk = lanes_[next_ % lanes_.size()].coming.get();
  ++next_;
  // The lane of the chunk given out is in use.
  BeginUpTo(next_ + lanes_.size() - 1, std::launch::async);
  return chunk;
}

void ChunksAhead::BeginUpTo(size_t end, std::launch how) {
  for (; begun_ < std::min(end, order_.size()); ++begun_) {
    Lane& lane = lanes_[begun_ % lanes_.size()];
    lane.coming = std::async(how, [this, &lane, key = order_[begun_]] { return Read(lane, key); });
  }
}

absl::StatusOr<std::span<const std::byte>> ChunksAhead::Read(Lane& lane, ChunkKey key) {
  if (!lane.reader.has_value() || lane.file != key.file) {
    lane.reader.reset();
    MUSTER_ASSIGN_OR_RETURN(ChunkReader reader,
                            ChunkReader::Open(files_, folder_, manifest_.files[key.file]));
    lane.reader.emplace(std::move(reader));
    lane.file = key.file;
  }
  return lane.reader->Read(key.index);
}

}  // namespace muster::checkpoint
