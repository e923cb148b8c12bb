#include "interchange/import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <vector>

#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "checkpoint/strict_json.h"
#include "common/status.h"
#include "interchange/tensor_folder.h"
#include "interchange/tokenizer_files.h"

namespace muster::interchange {
namespace {

using checkpoint::Box;
using checkpoint::DType;
using checkpoint::FileSystem;

constexpr uint64_t kConfigBytesMax = 16 << 20;
constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kOutput = "lm_head.weight";

bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

// Old folders keep a table that follows from the config.
bool IsDerived(const std::string& name) { return name.ends_with(".rotary_emb.inv_freq"); }

// Each tensor of the model → where it is in the folder.
using Sources = std::map<std::string, FolderTensor>;

absl::StatusOr<Sources> FindSources(const TensorFolder& folder, const LlamaConfig& config) {
  Sources sources;
  for (const LlamaTensor& tensor : LlamaTensors(config)) {
    const bool tied = config.tied && tensor.name == kOutput;
    const auto found = folder.tensors().find(tied ? kEmbedding : tensor.name);
    if (found == folder.tensors().end()) {
      return InvalidArgument("{} is missing", tensor.name);
    }
    if (found->second.shape != tensor.shape) {
      return InvalidArgument("{} is [{}], by config.json it must be [{}]", tensor.name,
                             fmt::join(found->second.shape, ","), fmt::join(tensor.shape, ","));
    }
    if (!IsFloat(found->second.dtype)) {
      return InvalidArgument("{} is {}, must be F32, BF16 or F16", tensor.name,
                             DTypeName(found->second.dtype));
    }
    sources[tensor.name] = found->second;
  }
  for (const auto& [name, tensor] : folder.tensors()) {
    if (!sources.contains(name) && !IsDerived(name)) {
      return InvalidArgument("{} is no tensor of this model", name);
    }
  }
  return sources;
}

// The elements that `box` holds, read or, in the rows that pad the vocabulary, zero.
absl::Status Fill(TensorFolder& folder, const FolderTensor& source, const Box& box,
                  std::span<float> floats) {
  // Boxes come as flat ranges in row-major order, so each is one run of the tensor; with two axes
  // either whole rows, or a part of one row.
  const uint64_t width = box.shape.size() == 2 ? box.shape[1] : 1;
  uint64_t first = box.offset[0] * width;
  if (box.shape.size() == 2) first += box.offset[1];
  uint64_t there = 1;
  for (uint64_t side : source.shape) there *= side;
  const uint64_t real = first >= there ? 0 : std::min<uint64_t>(floats.size(), there - first);
  MUSTER_RETURN_IF_ERROR(folder.Read(source, first, floats.subspan(0, real)));
  std::fill(floats.begin() + static_cast<ptrdiff_t>(real), floats.end(), 0.0f);
  return absl::OkStatus();
}

class Import {
 public:
  Import(TensorFolder& folder, const Sources& sources, const std::string& path,
         const ImportOptions& options, const ExchangeProgress& progress, FileSystem& files)
      : folder_(folder),
        sources_(sources),
        path_(path),
        options_(options),
        progress_(progress),
        files_(files) {}

  absl::StatusOr<std::vector<checkpoint::ShardDigest>> WriteShards(
      const std::vector<LlamaTensor>& tensors) {
    std::vector<Box> whole;
    uint64_t total = 0;
    for (const LlamaTensor& tensor : tensors) {
      whole.push_back(checkpoint::WholeTensor(tensor.name, DType::kF32, tensor.padded_shape));
      total += ByteCount(whole.back());
    }
    std::vector<checkpoint::ShardDigest> digests;
    std::vector<float> memory;
    uint64_t done = 0;
    for (const std::vector<Box>& batch : checkpoint::CutIntoBatches(whole, options_.batch_bytes)) {
      uint64_t count = 0;
      for (const Box& box : batch) count += ElementCount(box);
      if (memory.size() < count) memory.resize(count);
      std::vector<checkpoint::Slice> slices;
      uint64_t at = 0;
      for (const Box& box : batch) {
        const std::span<float> part = std::span(memory).subspan(at, ElementCount(box));
        MUSTER_RETURN_IF_ERROR(
            Annotate(Fill(folder_, sources_.at(box.tensor), box, part), box.tensor));
        slices.push_back({box, std::as_bytes(part)});
        at += part.size();
      }
      MUSTER_ASSIGN_OR_RETURN(checkpoint::ShardDigest digest,
                              checkpoint::WriteShard(path_, checkpoint::WriterName(digests.size()),
                                                     slices, {}, files_));
      digests.push_back(std::move(digest));
      done += count * sizeof(float);
      if (progress_) progress_(done, total);
    }
    return digests;
  }

 private:
  TensorFolder& folder_;
  const Sources& sources_;
  const std::string& path_;
  const ImportOptions& options_;
  const ExchangeProgress& progress_;
  FileSystem& files_;
};

// What an import that was killed has left: only imports are attempt 0.
absl::Status RemoveLeftovers(const std::string& path, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const auto entries, files.List(path + "/data"));
  for (const checkpoint::FolderEntry& entry : entries) {
    MUSTER_RETURN_IF_ERROR(files.RemoveFile(path + "/data/" + entry.name));
  }
  return absl::OkStatus();
}

absl::StatusOr<ImportReport> Run(const std::string& folder, const std::string& root,
                                 const ImportOptions& options, const ExchangeProgress& progress,
                                 FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(
      const std::string config_text,
      checkpoint::ReadWholeFile(files, folder + "/config.json", kConfigBytesMax));
  ImportReport report;
  MUSTER_ASSIGN_OR_RETURN(report.config, ParseConfigJson(config_text));
  MUSTER_ASSIGN_OR_RETURN(TensorFolder tensors, TensorFolder::Open(folder, files));
  MUSTER_ASSIGN_OR_RETURN(const Sources sources, FindSources(tensors, report.config));
  MUSTER_ASSIGN_OR_RETURN(report.tokenizer, TokenizerIn(folder, files));
  if (options.context.has_value()) report.config.context = *options.context;
  const checkpoint::CheckpointId id{0, 0};
  MUSTER_ASSIGN_OR_RETURN(report.path, checkpoint::PrepareCheckpointFolder(root, id, files));
  MUSTER_ASSIGN_OR_RETURN(const bool committed, files.Exists(report.path + "/COMMIT"));
  if (committed) {
    return AlreadyExists("{} is there; name another folder, or remove it", report.path);
  }
  MUSTER_RETURN_IF_ERROR(RemoveLeftovers(report.path, files));
  const std::vector<LlamaTensor> wanted = LlamaTensors(report.config);
  report.tensors = wanted.size();
  for (const LlamaTensor& tensor : wanted) {
    report.parameters +=
        ElementCount(checkpoint::WholeTensor(tensor.name, DType::kF32, tensor.shape));
  }
  MUSTER_ASSIGN_OR_RETURN(
      const std::vector<checkpoint::ShardDigest> digests,
      Import(tensors, sources, report.path, options, progress, files).WriteShards(wanted));
  checkpoint::RunState run;
  run.layout = "imported";
  run.config_digest = checkpoint::Sha256Hex(config_text);
  run.tokenizer = report.tokenizer;
  // Where sampling looks for tokenizer.model; of a tokenizer that it cannot use it looks for none.
  run.dataset_path = folder;
  run.model_json = ModelJson(report.config);
  run.extra_json = checkpoint::JsonText({{"imported_from", folder}});
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::Manifest manifest,
                          checkpoint::BuildManifest(id.step, id.attempt, "imported", run, digests));
  MUSTER_RETURN_IF_ERROR(checkpoint::WriteManifest(report.path, manifest, files));
  MUSTER_RETURN_IF_ERROR(
      checkpoint::Commit(report.path, {id.step, id.attempt, 0, manifest.sha256}, files));
  return report;
}

}  // namespace

absl::StatusOr<ImportReport> ImportLlama(const std::string& folder, const std::string& root,
                                         const ImportOptions& options,
                                         const ExchangeProgress& progress, FileSystem& files) {
  absl::StatusOr<ImportReport> report = Run(folder, root, options, progress, files);
  if (!report.ok()) return Annotate(report.status(), "import " + folder);
  return report;
}

}  // namespace muster::interchange
