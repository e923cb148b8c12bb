#include "checkpoint/manifest.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint/digest.h"
#include "checkpoint/piece_json.h"
#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

absl::StatusOr<std::string> CanonicalObject(const std::string& text, const char* what) {
  absl::StatusOr<nlohmann::json> json = ParseJson(text, what);
  if (!json.ok()) return InvalidArgument("{}", std::string(json.status().message()));
  if (!json->is_object()) return InvalidArgument("{}: must be a JSON object", what);
  return JsonText(*json);
}

nlohmann::json RunToJson(const RunState& run) {
  return {{"config_digest", run.config_digest},
          {"dataset_digest", run.dataset_digest},
          {"dataset_path", run.dataset_path},
          {"extra", nlohmann::json::parse(run.extra_json, nullptr, false)},
          {"layout", run.layout},
          {"model", nlohmann::json::parse(run.model_json, nullptr, false)},
          {"next_sample", run.next_sample},
          {"seed", run.seed},
          {"tokenizer", run.tokenizer},
          {"tokens", run.tokens}};
}

absl::StatusOr<RunState> RunFromJson(const nlohmann::json& json) {
  RunState run;
  MUSTER_ASSIGN_OR_RETURN(run.config_digest, TextField(json, "config_digest"));
  MUSTER_ASSIGN_OR_RETURN(run.dataset_digest, TextField(json, "dataset_digest"));
  MUSTER_ASSIGN_OR_RETURN(run.dataset_path, TextField(json, "dataset_path"));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* extra, ObjectField(json, "extra"));
  MUSTER_ASSIGN_OR_RETURN(run.layout, TextField(json, "layout"));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* model, ObjectField(json, "model"));
  MUSTER_ASSIGN_OR_RETURN(run.next_sample, U64Field(json, "next_sample"));
  MUSTER_ASSIGN_OR_RETURN(run.seed, U64Field(json, "seed"));
  MUSTER_ASSIGN_OR_RETURN(run.tokenizer, TextField(json, "tokenizer"));
  MUSTER_ASSIGN_OR_RETURN(run.tokens, U64Field(json, "tokens"));
  run.extra_json = JsonText(*extra);
  run.model_json = JsonText(*model);
  return run;
}

// Order, uniqueness, ranges inside files, tiling.
absl::Status CheckManifest(const Manifest& manifest) {
  std::map<std::string_view, uint64_t> sizes;
  for (const FileRecord& file : manifest.files) {
    if (!sizes.emplace(file.name, file.size).second) {
      return InvalidArgument("file {} is there twice", file.name);
    }
  }
  std::string_view before;
  for (const Tensor& tensor : manifest.tensors) {
    if (tensor.name <= before) return InvalidArgument("tensor {} is out of order", tensor.name);
    before = tensor.name;
    std::vector<Box> boxes;
    for (const Piece& piece : tensor.pieces) {
      const auto file = sizes.find(piece.file);
      if (file == sizes.end() || piece.end > file->second) {
        return InvalidArgument("{}: bytes {}-{} are not inside {}", BoxText(piece.box), piece.begin,
                               piece.end, piece.file);
      }
      boxes.push_back(piece.box);
    }
    MUSTER_RETURN_IF_ERROR(CheckTiling(boxes));
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> TensorFromJson(const nlohmann::json& json) {
  Box whole;
  MUSTER_ASSIGN_OR_RETURN(whole.tensor, TextField(json, "name"));
  MUSTER_ASSIGN_OR_RETURN(const std::string dtype, TextField(json, "dtype"));
  MUSTER_ASSIGN_OR_RETURN(whole.shape, U64sField(json, "shape"));
  const std::optional<DType> known = DTypeFromName(dtype);
  if (!known) return DataLoss("tensor {}: unknown dtype {}", whole.tensor, dtype);
  whole.dtype = *known;
  Tensor tensor{.name = whole.tensor, .dtype = whole.dtype, .shape = whole.shape, .pieces = {}};
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* pieces, ArrayField(json, "pieces"));
  for (const nlohmann::json& item : *pieces) {
    MUSTER_ASSIGN_OR_RETURN(Piece piece, PieceFromJson(item, whole));
    tensor.pieces.push_back(std::move(piece));
  }
  return tensor;
}

absl::StatusOr<Manifest> FromJson(const nlohmann::json& json) {
  Manifest manifest;
  MUSTER_ASSIGN_OR_RETURN(const std::string format, TextField(json, "format"));
  if (format != kFormat) {
    return DataLoss("format \"{}\", this program reads \"{}\"", format, kFormat);
  }
  MUSTER_ASSIGN_OR_RETURN(manifest.step, U64Field(json, "step"));
  MUSTER_ASSIGN_OR_RETURN(manifest.attempt, U64Field(json, "attempt"));
  MUSTER_ASSIGN_OR_RETURN(manifest.job_uid, TextField(json, "job"));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* run, ObjectField(json, "run"));
  MUSTER_ASSIGN_OR_RETURN(manifest.run, RunFromJson(*run));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* files, ArrayField(json, "files"));
  for (const nlohmann::json& item : *files) {
    MUSTER_ASSIGN_OR_RETURN(FileRecord file, FileFromJson(item));
    manifest.files.push_back(std::move(file));
  }
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* tensors, ArrayField(json, "tensors"));
  for (const nlohmann::json& item : *tensors) {
    MUSTER_ASSIGN_OR_RETURN(Tensor tensor, TensorFromJson(item));
    manifest.tensors.push_back(std::move(tensor));
  }
  return manifest;
}

}  // namespace

std::string RunStateText(const RunState& run) { return JsonText(RunToJson(run)); }

absl::StatusOr<RunState> ParseRunState(std::string_view text) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, "run state"));
  return RunFromJson(json);
}

absl::StatusOr<Manifest> BuildManifest(uint64_t step, uint64_t attempt, const std::string& job_uid,
                                       const RunState& run, std::span<const ShardDigest> digests) {
  Manifest manifest{.step = step,
                    .attempt = attempt,
                    .job_uid = job_uid,
                    .run = run,
                    .tensors = {},
                    .files = {},
                    .sha256 = {}};
  MUSTER_ASSIGN_OR_RETURN(manifest.run.model_json, CanonicalObject(run.model_json, "model_json"));
  MUSTER_ASSIGN_OR_RETURN(manifest.run.extra_json, CanonicalObject(run.extra_json, "extra_json"));
  std::map<std::string, Tensor> tensors;
  for (const ShardDigest& digest : digests) {
    manifest.files.push_back(digest.file);
    for (const Piece& piece : digest.pieces) {
      Tensor& tensor = tensors[piece.box.tensor];
      if (tensor.pieces.empty()) {
        tensor = {piece.box.tensor, piece.box.dtype, piece.box.shape, {}};
      }
      tensor.pieces.push_back(piece);
    }
  }
  std::sort(manifest.files.begin(), manifest.files.end(),
            [](const FileRecord& a, const FileRecord& b) { return a.name < b.name; });
  for (auto& [name, tensor] : tensors) {
    std::sort(tensor.pieces.begin(), tensor.pieces.end(), [](const Piece& a, const Piece& b) {
      return std::tie(a.box.offset, a.box.extent, a.file) <
             std::tie(b.box.offset, b.box.extent, b.file);
    });
    manifest.tensors.push_back(std::move(tensor));
  }
  MUSTER_RETURN_IF_ERROR(
      Annotate(CheckManifest(manifest), fmt::format("manifest of step {}", step)));
  manifest.sha256 = Sha256Hex(ManifestText(manifest));
  return manifest;
}

std::string ManifestText(const Manifest& manifest) {
  nlohmann::json files = nlohmann::json::array();
  for (const FileRecord& file : manifest.files) files.push_back(FileToJson(file));
  nlohmann::json tensors = nlohmann::json::array();
  for (const Tensor& tensor : manifest.tensors) {
    nlohmann::json pieces = nlohmann::json::array();
    for (const Piece& piece : tensor.pieces) pieces.push_back(PieceToJson(piece));
    tensors.push_back({{"dtype", DTypeName(tensor.dtype)},
                       {"name", tensor.name},
                       {"pieces", std::move(pieces)},
                       {"shape", tensor.shape}});
  }
  const nlohmann::json json = {
      {"attempt", manifest.attempt},  {"files", std::move(files)},      {"format", kFormat},
      {"job", manifest.job_uid},      {"run", RunToJson(manifest.run)}, {"step", manifest.step},
      {"tensors", std::move(tensors)}};
  return JsonText(json) + "\n";
}

absl::StatusOr<Manifest> ParseManifest(std::string_view text) {
  if (text.size() > kManifestBytesMax) {
    return DataLoss("manifest: {} bytes, at most {} make sense", text.size(), kManifestBytesMax);
  }
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, "manifest"));
  absl::StatusOr<Manifest> manifest = FromJson(json);
  if (!manifest.ok()) return Annotate(manifest.status(), "manifest");
  if (const absl::Status status = CheckManifest(*manifest); !status.ok()) {
    return DataLoss("manifest: {}", std::string(status.message()));
  }
  // Refuses unknown fields, fields named twice, another order, bytes after the end.
  if (ManifestText(*manifest) != text) {
    return DataLoss("manifest: not the canonical text: edited, or written by another program");
  }
  manifest->sha256 = Sha256Hex(text);
  return manifest;
}

const Tensor* FindTensor(const Manifest& manifest, std::string_view name) {
  const auto found = std::lower_bound(
      manifest.tensors.begin(), manifest.tensors.end(), name,
      [](const Tensor& tensor, std::string_view key) { return tensor.name < key; });
  return found != manifest.tensors.end() && found->name == name ? &*found : nullptr;
}

uint64_t TotalBytes(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const FileRecord& file : manifest.files) bytes += file.size;
  return bytes;
}

}  // namespace muster::checkpoint
