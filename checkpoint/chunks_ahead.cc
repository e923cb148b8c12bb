#include "checkpoint/chunks_ahead.h"

#include "common/check.h"
#include "common/status.h"

namespace muster::checkpoint {

ChunkKey ChunksAhead::key() const {
  CHECK(!done(), "all {} chunks were read", order_.size());
  return order_[next_];
}

absl::StatusOr<std::span<const std::byte>> ChunksAhead::Next() {
  CHECK(!done(), "all {} chunks were read", order_.size());
  // Nobody has anything to do before the first.
  if (next_ == 0) Begin(0, std::launch::deferred);
  absl::StatusOr<std::span<const std::byte>> chunk = lanes_[next_ % lanes_.size()].coming.get();
  ++next_;
  if (!done()) Begin(next_, std::launch::async);
  return chunk;
}

void ChunksAhead::Begin(size_t at, std::launch how) {
  Lane& lane = lanes_[at % lanes_.size()];
  lane.coming = std::async(how, [this, &lane, key = order_[at]] { return Read(lane, key); });
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
