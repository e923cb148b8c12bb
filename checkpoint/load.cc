#include "checkpoint/load.h"

#include <cstring>
#include <optional>
#include <vector>

#include "checkpoint/chunks_ahead.h"
#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "checkpoint/load_plan.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

uint64_t ChunkOf(const Transfer& transfer) { return transfer.from / kChunkBytes; }

std::vector<ChunkKey> ChunksOf(const LoadPlan& plan) {
  std::vector<ChunkKey> chunks;
  for (const auto& [file, transfers] : plan) {
    for (const Transfer& transfer : transfers) {
      const ChunkKey key{file, ChunkOf(transfer)};
      if (chunks.empty() || chunks.back() != key) chunks.push_back(key);
    }
  }
  return chunks;
}

}  // namespace

absl::StatusOr<LoadStats> Load(const std::string& folder, const Manifest& manifest,
                               std::span<const Request> requests, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(folder, files));
  if (commit.manifest_sha256 != manifest.sha256) {
    return DataLoss("load {}: the manifest given is not the one that COMMIT names", folder);
  }
  MUSTER_ASSIGN_OR_RETURN(const LoadPlan plan, PlanLoad(manifest, requests));
  ChunksAhead chunks(files, folder, manifest, ChunksOf(plan));
  LoadStats stats;
  for (const auto& [file, transfers] : plan) {
    std::optional<uint64_t> at;
    std::span<const std::byte> chunk;
    for (const Transfer& transfer : transfers) {
      if (at != ChunkOf(transfer)) {
        MUSTER_ASSIGN_OR_RETURN(chunk, chunks.Next());
        at = ChunkOf(transfer);
        stats.bytes_read += chunk.size();
        ++stats.chunks;
      }
      std::memcpy(transfer.to, chunk.data() + transfer.from % kChunkBytes, transfer.bytes);
      stats.bytes_copied += transfer.bytes;
    }
  }
  return stats;
}

}  // namespace muster::checkpoint
