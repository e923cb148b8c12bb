#include "checkpoint/chunk_reader.h"

#include <algorithm>

#include "checkpoint/digest.h"
#include "common/status.h"

namespace muster::checkpoint {

absl::StatusOr<ChunkReader> ChunkReader::Open(FileSystem& files, const std::string& folder,
                                              const FileRecord& record) {
  std::string path = folder + "/" + record.name;
  auto file = files.Open(path);
  if (!file.ok()) {
    return DataLoss("{}; the checkpoint is damaged, use an older one",
                    std::string(file.status().message()));
  }
  if ((*file)->Size() != record.size) {
    return DataLoss(
        "{} has {} bytes, the manifest says {}; the checkpoint is damaged, use an "
        "older one",
        path, (*file)->Size(), record.size);
  }
  return ChunkReader(std::move(path), &record, *std::move(file));
}

absl::StatusOr<std::span<const std::byte>> ChunkReader::Read(uint64_t index) {
  const uint64_t begin = index * kChunkBytes;
  buffer_.resize(std::min(kChunkBytes, record_->size - begin));
  MUSTER_RETURN_IF_ERROR(file_->ReadAt(begin, buffer_));
  const uint32_t crc = Crc32c(0, buffer_);
  if (crc != record_->chunk_crc32c[index]) {
    return DataLoss(
        "{}: bytes {}-{} are damaged (CRC32C {:08x}, the manifest says {:08x}); use an "
        "older checkpoint",
        path_, begin, begin + buffer_.size(), crc, record_->chunk_crc32c[index]);
  }
  return std::span<const std::byte>(buffer_);
}

}  // namespace muster::checkpoint
