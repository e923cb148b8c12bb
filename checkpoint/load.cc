#include "checkpoint/load.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "checkpoint/chunk_reader.h"
#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

// Bytes of one chunk of one file and where they go.
struct Transfer {
  uint64_t from;  // in the file
  uint64_t bytes;
  std::byte* to;
};
using Plan = std::map<std::string, std::vector<Transfer>>;  // by file

absl::Status PlanRequest(const Manifest& manifest, const Request& request, Plan& plan) {
  const Box& box = request.box;
  MUSTER_RETURN_IF_ERROR(ValidateBox(box));
  if (request.bytes.size() != ByteCount(box)) {
    return InvalidArgument("load {}: room for {} bytes, {} needed", BoxText(box),
                           request.bytes.size(), ByteCount(box));
  }
  const Tensor* tensor = FindTensor(manifest, box.tensor);
  if (tensor == nullptr)
    return NotFound("load {}: the checkpoint has no such tensor", BoxText(box));
  if (tensor->dtype != box.dtype || tensor->shape != box.shape) {
    return InvalidArgument("load {}: the checkpoint has {}; is it of another model?", BoxText(box),
                           BoxText(WholeTensor(tensor->name, tensor->dtype, tensor->shape)));
  }
  uint64_t planned = 0;
  for (const Piece& piece : tensor->pieces) {
    for (Run run : CopyRuns(piece.box, box)) {
      planned += run.bytes;
      uint64_t from = piece.begin + run.from;
      std::byte* to = request.bytes.data() + run.to;
      while (run.bytes > 0) {
        const uint64_t part = std::min(run.bytes, kChunkBytes - from % kChunkBytes);
        plan[piece.file].push_back({from, part, to});
        from += part;
        to += part;
        run.bytes -= part;
      }
    }
  }
  if (planned != request.bytes.size()) {
    return DataLoss("load {}: the manifest covers {} of {} bytes", BoxText(box), planned,
                    request.bytes.size());
  }
  return absl::OkStatus();
}

absl::Status RunTransfers(ChunkReader& reader, std::vector<Transfer>& transfers, LoadStats& stats) {
  std::sort(transfers.begin(), transfers.end(),
            [](const Transfer& a, const Transfer& b) { return a.from < b.from; });
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
  Plan plan;
  for (const Request& request : requests) {
    MUSTER_RETURN_IF_ERROR(PlanRequest(manifest, request, plan));
  }
  LoadStats stats;
  for (const FileRecord& file : manifest.files) {
    const auto transfers = plan.find(file.name);
    if (transfers == plan.end()) continue;
    MUSTER_ASSIGN_OR_RETURN(ChunkReader reader, ChunkReader::Open(files, folder, file));
    MUSTER_RETURN_IF_ERROR(RunTransfers(reader, transfers->second, stats));
    plan.erase(transfers);
  }
  if (!plan.empty()) return DataLoss("load {}: the manifest lacks {}", folder, plan.begin()->first);
  return stats;
}

}  // namespace muster::checkpoint
