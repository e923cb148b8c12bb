#include "checkpoint/load_plan.h"

#include <algorithm>

#include "checkpoint/digest.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

absl::StatusOr<size_t> FileIndex(const Manifest& manifest, const std::string& name) {
  const auto at = std::lower_bound(
      manifest.files.begin(), manifest.files.end(), name,
      [](const FileRecord& file, const std::string& wanted) { return file.name < wanted; });
  if (at == manifest.files.end() || at->name != name) {
    return DataLoss("load step {}: the manifest lacks {}", manifest.step, name);
  }
  return static_cast<size_t>(at - manifest.files.begin());
}

absl::Status PlanRequest(const Manifest& manifest, const Request& request, LoadPlan& plan) {
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
    const std::vector<Run> runs = CopyRuns(piece.box, box);
    if (runs.empty()) continue;
    MUSTER_ASSIGN_OR_RETURN(const size_t file, FileIndex(manifest, piece.file));
    std::vector<Transfer>& transfers = plan[file];
    for (Run run : runs) {
      planned += run.bytes;
      uint64_t from = piece.begin + run.from;
      std::byte* to = request.bytes.data() + run.to;
      while (run.bytes > 0) {
        const uint64_t part = std::min(run.bytes, kChunkBytes - from % kChunkBytes);
        transfers.push_back({from, part, to});
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

}  // namespace

absl::StatusOr<LoadPlan> PlanLoad(const Manifest& manifest, std::span<const Request> requests) {
  LoadPlan plan;
  for (const Request& request : requests) {
    MUSTER_RETURN_IF_ERROR(PlanRequest(manifest, request, plan));
  }
  for (auto& [file, transfers] : plan) {
    std::sort(transfers.begin(), transfers.end(),
              [](const Transfer& a, const Transfer& b) { return a.from < b.from; });
  }
  return plan;
}

}  // namespace muster::checkpoint
