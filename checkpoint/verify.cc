#include "checkpoint/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "checkpoint/chunk_reader.h"
#include "checkpoint/digest.h"
#include "checkpoint/pin.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/store.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// The header of a shard must say the same as the manifest's pieces in that file.
absl::Status CompareHeader(const ShardHeader& header, uint64_t size,
                           const std::map<std::string, const Piece*>& pieces) {
  if (header.data_begin + header.data_bytes != size) {
    return DataLoss("its header speaks of {} bytes", header.data_begin + header.data_bytes);
  }
  if (header.entries.size() != pieces.size()) {
    return DataLoss("its header has {} slices, the manifest {}", header.entries.size(),
                    pieces.size());
  }
  for (const HeaderEntry& entry : header.entries) {
    const auto piece = pieces.find(entry.name);
    if (piece == pieces.end()) return DataLoss("slice {} is not in the manifest", entry.name);
    const Box& box = piece->second->box;
    if (entry.dtype != box.dtype || entry.shape != box.extent ||
        header.data_begin + entry.begin != piece->second->begin) {
      return DataLoss("slice {} differs from the manifest", entry.name);
    }
  }
  return absl::OkStatus();
}

class Verifier {
 public:
  Verifier(const std::string& folder, const VerifyProgress& progress, FileSystem& files)
      : folder_(folder), progress_(progress), files_(files) {}

  VerifyReport Run(VerifyDepth depth) {
    absl::StatusOr<CommitRecord> commit = ReadCommit(folder_, files_);
    if (!commit.ok()) return Problem(commit.status());
    report_.commit = *commit;
    const std::optional<CheckpointId> id =
        ParseCheckpointFolder(std::string_view(folder_).substr(folder_.find_last_of('/') + 1));
    if (id && *id != CheckpointId{commit->step, commit->attempt}) {
      Problem(DataLoss("{}/COMMIT is of step {} attempt {}: another checkpoint was put here",
                       folder_, commit->step, commit->attempt));
    }
    absl::StatusOr<Manifest> manifest = ReadManifest(folder_, files_);
    if (!manifest.ok()) return Problem(manifest.status());
    report_.files = manifest->files.size();
    report_.tensors = manifest->tensors.size();
    bytes_total_ = TotalBytes(*manifest);
    if (depth == VerifyDepth::kManifest) return std::move(report_);
    std::map<std::string_view, std::map<std::string, const Piece*>> pieces;
    for (const Tensor& tensor : manifest->tensors) {
      for (const Piece& piece : tensor.pieces) {
        if (!pieces[piece.file].emplace(SliceName(piece.box), &piece).second) {
          Problem(DataLoss("{}: slice {} twice", piece.file, SliceName(piece.box)));
        }
      }
    }
    CheckNames(*manifest);
    for (const FileRecord& file : manifest->files) {
      CheckFile(file, pieces[file.name], depth);
    }
    return std::move(report_);
  }

 private:
  VerifyReport Problem(const absl::Status& status) {
    report_.problems.push_back(Message(status));
    return report_;
  }

  void CheckNames(const Manifest& manifest) {
    std::set<std::string> known;
    for (const FileRecord& file : manifest.files) known.insert(file.name);
    absl::StatusOr<std::vector<FolderEntry>> top = files_.List(folder_);
    absl::StatusOr<std::vector<FolderEntry>> data = files_.List(folder_ + "/data");
    if (!top.ok()) Problem(top.status());
    if (!data.ok() && !(known.empty() && absl::IsNotFound(data.status()))) Problem(data.status());
    for (const FolderEntry& entry : top.ok() ? *top : std::vector<FolderEntry>()) {
      // A crash between link() and unlink() leaves .tmp-COMMIT: the same file under a second name.
      const bool ours = entry.name == "COMMIT" || entry.name == "manifest.json" ||
                        entry.name == "data" || entry.name == kPinFile ||
                        entry.name.starts_with(".tmp-");
      if (!ours) Problem(DataLoss("{}/{} does not belong there", folder_, entry.name));
    }
    for (const FolderEntry& entry : data.ok() ? *data : std::vector<FolderEntry>()) {
      if (!known.contains("data/" + entry.name) && !entry.name.starts_with(".tmp-")) {
        Problem(DataLoss("{}/data/{} is not in the manifest", folder_, entry.name));
      }
    }
  }

  void CheckFile(const FileRecord& file, const std::map<std::string, const Piece*>& pieces,
                 VerifyDepth depth) {
    absl::StatusOr<ChunkReader> reader = ChunkReader::Open(files_, folder_, file);
    if (!reader.ok()) {
      Problem(reader.status());
      return;
    }
    if (depth == VerifyDepth::kSizes) {
      report_.bytes += file.size;
      return;
    }
    std::string head;
    uint64_t head_bytes = 8;
    bool whole = true;
    for (uint64_t index = 0; index < reader->chunks(); ++index) {
      absl::StatusOr<std::span<const std::byte>> chunk = reader->Read(index);
      if (!chunk.ok()) {
        Problem(chunk.status());
        whole = false;
      } else if (head.size() < head_bytes) {
        head.append(reinterpret_cast<const char*>(chunk->data()), chunk->size());
        head_bytes = ShardHeaderBytes(head);
      }
      report_.bytes += std::min(kChunkBytes, file.size - index * kChunkBytes);
      if (progress_) progress_(report_.bytes, bytes_total_);
    }
    if (!whole) return;
    absl::StatusOr<ShardHeader> header = ParseSafetensorsHeader(head);
    absl::Status status = header.status();
    if (header.ok()) status = CompareHeader(*header, file.size, pieces);
    if (!status.ok()) Problem(Annotate(status, fmt::format("{}/{}", folder_, file.name)));
  }

  const std::string& folder_;
  const VerifyProgress& progress_;
  FileSystem& files_;
  VerifyReport report_;
  uint64_t bytes_total_ = 0;
};

}  // namespace

VerifyReport Verify(const std::string& folder, const VerifyProgress& progress, VerifyDepth depth,
                    FileSystem& files) {
  return Verifier(folder, progress, files).Run(depth);
}

absl::Status VerifyStatus(const std::string& folder, const VerifyReport& report) {
  if (report.ok()) return absl::OkStatus();
  if (report.problems.size() == 1) return DataLoss("verify {}: {}", folder, report.problems[0]);
  return DataLoss("verify {}: {} problems, first: {}", folder, report.problems.size(),
                  report.problems[0]);
}

}  // namespace muster::checkpoint
