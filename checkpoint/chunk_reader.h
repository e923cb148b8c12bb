// Reads a shard chunk by chunk, each one checked before its bytes are handed out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/shard.h"

namespace muster::checkpoint {

class ChunkReader {
 public:
  // `record` must outlive the reader. Errors: kDataLoss: missing, or of another size.
  static absl::StatusOr<ChunkReader> Open(FileSystem& files, const std::string& folder,
                                          const FileRecord& record);

  uint64_t chunks() const { return record_->chunk_crc32c.size(); }
  // Bytes [index * kChunkBytes, ...) of the file; valid until the next call.
  // Errors: kDataLoss names the file and the byte range.
  absl::StatusOr<std::span<const std::byte>> Read(uint64_t index);

 private:
  ChunkReader(std::string path, const FileRecord* record, std::unique_ptr<ReadableFile> file)
      : path_(std::move(path)), record_(record), file_(std::move(file)) {}

  std::string path_;
  const FileRecord* record_;
  std::unique_ptr<ReadableFile> file_;
  std::vector<std::byte> buffer_;
};

}  // namespace muster::checkpoint
