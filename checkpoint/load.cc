#include "checkpoint/load.h"

#include <cstring>

#include "checkpoint/chunk_reader.h"
#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "checkpoint/load_plan.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

absl::Status RunTransfers(ChunkReader& reader, const std::vector<Transfer>& transfers,
                          LoadStats& stats) {
  std::span<const std::byte> chunk;
  uint64_t loaded = UINT64_MAX;
  for (const Transfer& transfer : transfers) {
    const uint64_t index = transfer.from / kChunkBytes;
    if (index != loaded) {
      MUSTER_ASSIGN_OR_RETURN(chunk, reader.Read(index));
      loaded = index;
      stats.bytes_read += chunk.size();
      ++stats.chunks;
    }
    std::memcpy(transfer.to, chunk.data() + transfer.from % kChunkBytes, transfer.bytes);
    stats.bytes_copied += transfer.bytes;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LoadStats> Load(const std::string& folder, const Manifest& manifest,
                               std::span<const Request> requests, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(folder, files));
  if (commit.manifest_sha256 != manifest.sha256) {
    return DataLoss("load {}: the manifest given is not the one that COMMIT names", folder);
  }
  MUSTER_ASSIGN_OR_RETURN(const LoadPlan plan, PlanLoad(manifest, requests));
  LoadStats stats;
  for (const auto& [index, transfers] : plan) {
    MUSTER_ASSIGN_OR_RETURN(ChunkReader reader,
                            ChunkReader::Open(files, folder, manifest.files[index]));
    MUSTER_RETURN_IF_ERROR(RunTransfers(reader, transfers, stats));
  }
  return stats;
}

}  // namespace muster::checkpoint
