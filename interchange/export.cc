#include "interchange/export.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "checkpoint/commit.h"
#include "checkpoint/number.h"
#include "common/status.h"
#include "interchange/llama_config.h"
#include "interchange/plain_header.h"
#include "interchange/tokenizer_files.h"

namespace muster::interchange {
namespace {

using checkpoint::Box;
using checkpoint::DType;
using checkpoint::FileSystem;
using checkpoint::LoadedBox;
using checkpoint::Manifest;

// Writes the tensors' bytes, in order, over the files they were given to.
class WeightFiles {
 public:
  WeightFiles(std::string folder, std::vector<std::vector<PlainTensor>> files, DType dtype,
              FileSystem& system)
      : folder_(std::move(folder)), files_(std::move(files)), dtype_(dtype), system_(system) {}

  absl::Status Add(std::span<const std::byte> floats) {
    while (!floats.empty()) {
      if (left_ == 0) MUSTER_RETURN_IF_ERROR(Next());
      const uint64_t wide = DTypeBytes(DType::kF32), narrow = DTypeBytes(dtype_);
      const uint64_t count = std::min(floats.size() / wide, left_ / narrow);
      MUSTER_RETURN_IF_ERROR(Append(floats.subspan(0, count * wide)));
      floats = floats.subspan(count * wide);
      left_ -= count * narrow;
    }
    return absl::OkStatus();
  }

  absl::Status Finish() {
    if (file_ == nullptr) return absl::OkStatus();
    MUSTER_RETURN_IF_ERROR(file_->Sync());
    MUSTER_RETURN_IF_ERROR(file_->Close());
    file_.reset();
    return absl::OkStatus();
  }

 private:
  absl::Status Next() {
    MUSTER_RETURN_IF_ERROR(Finish());
    const std::vector<PlainTensor>& tensors = files_[next_];
    MUSTER_ASSIGN_OR_RETURN(file_,
                            system_.Create(folder_ + "/" + PlainFileName(next_, files_.size())));
    ++next_;
    for (const PlainTensor& tensor : tensors) left_ += tensor.bytes();
    const std::string header = PlainHeader(tensors);
    return file_->Append(std::as_bytes(std::span(header)));
  }

  absl::Status Append(std::span<const std::byte> floats) {
    if (dtype_ == DType::kF32) return file_->Append(floats);
    rounded_.resize(floats.size() / sizeof(float));
    for (size_t i = 0; i < rounded_.size(); ++i) {
      float value;
      std::memcpy(&value, floats.data() + i * sizeof(float), sizeof(float));
      rounded_[i] = checkpoint::ToBFloat16(value);
    }
    return file_->Append(std::as_bytes(std::span(rounded_)));
  }

  const std::string folder_;
  const std::vector<std::vector<PlainTensor>> files_;
  const DType dtype_;
  FileSystem& system_;
  std::unique_ptr<checkpoint::WritableFile> file_;
  size_t next_ = 0;
  uint64_t left_ = 0;  // bytes of the open file still to come
  std::vector<uint16_t> rounded_;
};

// The tensors as they are in the checkpoint, without the rows that pad the vocabulary.
absl::StatusOr<std::vector<Box>> WantedBoxes(const Manifest& manifest,
                                             const std::vector<LlamaTensor>& tensors) {
  std::vector<Box> wanted;
  for (const LlamaTensor& tensor : tensors) {
    const checkpoint::Tensor* found = FindTensor(manifest, tensor.name);
    if (found == nullptr) return DataLoss("{} is missing in the checkpoint", tensor.name);
    Box box = checkpoint::WholeTensor(tensor.name, DType::kF32, tensor.padded_shape);
    if (found->dtype != box.dtype || found->shape != box.shape) {
      return DataLoss("{} has another shape or dtype than its model says: {}", tensor.name,
                      BoxText(WholeTensor(found->name, found->dtype, found->shape)));
    }
    box.extent = tensor.shape;
    wanted.push_back(std::move(box));
  }
  return wanted;
}

absl::Status CheckEmpty(const std::string& folder, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const bool there, files.Exists(folder));
  if (!there) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const auto entries, files.List(folder));
  if (entries.empty()) return absl::OkStatus();
  return AlreadyExists("{} is not empty; name a new folder", folder);
}

struct Paths {
  std::string parent, target, temporary;
};

Paths PathsOf(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const size_t slash = folder.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : folder.substr(0, slash);
  const std::string name = slash == std::string::npos ? folder : folder.substr(slash + 1);
  return {parent, folder, parent + "/.tmp-export-" + name};
}

void Discard(const std::string& folder, FileSystem& files) {
  const auto entries = files.List(folder);
  if (!entries.ok()) return;
  for (const checkpoint::FolderEntry& entry : *entries) {
    files.RemoveFile(folder + "/" + entry.name).IgnoreError();
  }
  files.RemoveFolder(folder).IgnoreError();
}

class Export {
 public:
  Export(const std::string& checkpoint, const std::string& folder, const ExportOptions& options,
         const ExchangeProgress& progress, FileSystem& files)
      : checkpoint_(checkpoint),
        folder_(folder),
        options_(options),
        progress_(progress),
        files_(files) {}

  absl::StatusOr<ExportReport> Run(const Manifest& manifest) {
    MUSTER_ASSIGN_OR_RETURN(const LlamaConfig config, ParseModelJson(manifest.run.model_json));
    const std::vector<LlamaTensor> tensors = LlamaTensors(config);
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Box> wanted, WantedBoxes(manifest, tensors));
    std::map<std::string, std::string> texts;
    if (options_.with_tokenizer) {
      const std::string& data = options_.data.empty() ? manifest.run.dataset_path : options_.data;
      MUSTER_ASSIGN_OR_RETURN(texts, TokenizerFiles(manifest.run.tokenizer, data, files_));
    }
    std::vector<PlainTensor> plain;
    ExportReport report;
    for (const LlamaTensor& tensor : tensors) {
      plain.push_back({tensor.name, options_.dtype, tensor.shape});
      report.bytes += plain.back().bytes();
    }
    report.tensors = plain.size();
    report.parameters = report.bytes / DTypeBytes(options_.dtype);
    const auto files = CutIntoFiles(plain, options_.file_bytes_max);
    report.files = files.size();
    if (files.size() > 1) texts["model.safetensors.index.json"] = IndexJson(files);
    texts["config.json"] =
        ConfigJson(config, options_.dtype == DType::kF32 ? "float32" : "bfloat16",
                   EndToken(manifest.run.tokenizer));
    MUSTER_RETURN_IF_ERROR(WriteWeights(manifest, wanted, files, report.parameters));
    for (const auto& [name, text] : texts) {
      MUSTER_RETURN_IF_ERROR(checkpoint::WriteFileDurably(files_, folder_, name, text));
    }
    MUSTER_RETURN_IF_ERROR(files_.SyncFolder(folder_));
    return report;
  }

 private:
  absl::Status WriteWeights(const Manifest& manifest, const std::vector<Box>& wanted,
                            const std::vector<std::vector<PlainTensor>>& files,
                            uint64_t parameters) {
    WeightFiles out(folder_, files, options_.dtype, files_);
    uint64_t done = 0;
    const auto write = [&](std::span<const LoadedBox> loaded) -> absl::Status {
      for (const LoadedBox& one : loaded) {
        MUSTER_RETURN_IF_ERROR(out.Add(one.bytes));
        done += one.bytes.size();
      }
      if (progress_) progress_(done, parameters * sizeof(float));
      return absl::OkStatus();
    };
    MUSTER_RETURN_IF_ERROR(checkpoint::ForEachBatch(checkpoint_, manifest, wanted,
                                                    options_.batch_bytes, write, files_));
    return out.Finish();
  }

  const std::string& checkpoint_;
  const std::string& folder_;
  const ExportOptions& options_;
  const ExchangeProgress& progress_;
  FileSystem& files_;
};

}  // namespace

absl::StatusOr<ExportReport> ExportLlama(const std::string& checkpoint, const std::string& folder,
                                         const ExportOptions& options,
                                         const ExchangeProgress& progress, FileSystem& files) {
  const std::string what = fmt::format("export {} to {}", checkpoint, folder);
  const absl::StatusOr<Manifest> manifest = checkpoint::ReadManifest(checkpoint, files);
  if (!manifest.ok()) return Annotate(manifest.status(), what);
  const Paths paths = PathsOf(folder);
  MUSTER_RETURN_IF_ERROR(Annotate(CheckEmpty(paths.target, files), what));
  MUSTER_RETURN_IF_ERROR(Annotate(checkpoint::MakeFolders(files, paths.parent), what));
  const absl::Status made = files.MakeFolder(paths.temporary);
  if (absl::IsAlreadyExists(made)) {
    return AlreadyExists(
        "{}: {} is there: another export is at work, or one was killed; if none is, remove it",
        what, paths.temporary);
  }
  MUSTER_RETURN_IF_ERROR(Annotate(made, what));
  absl::StatusOr<ExportReport> report =
      Export(checkpoint, paths.temporary, options, progress, files).Run(*manifest);
  absl::Status status = report.status();
  if (status.ok()) status = files.Rename(paths.temporary, paths.target);
  if (status.ok()) status = files.SyncFolder(paths.parent);
  if (!status.ok()) {
    Discard(paths.temporary, files);
    return Annotate(status, what);
  }
  return report;
}

}  // namespace muster::interchange
