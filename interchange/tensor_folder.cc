#include "interchange/tensor_folder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/number.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::interchange {
namespace {

constexpr uint64_t kIndexBytesMax = 100'000'000;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool IsPlainName(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  return plain && name.ends_with(".safetensors") && !name.starts_with('.');
}

// Tensor → file.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path,
                                                             checkpoint::FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const std::string text,
                          checkpoint::ReadWholeFile(files, path, kIndexBytesMax));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json json, checkpoint::ParseJson(text, kIndex));
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* map, checkpoint::ObjectField(json, "weight_map"));
  std::map<std::string, std::string> index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !IsPlainName(file.get<std::string>())) {
      return InvalidArgument("{}: the file of {} is not a plain name", kIndex, tensor);
    }
    index[tensor] = file.get<std::string>();
  }
  if (index.empty()) return InvalidArgument("{}: names no tensor", kIndex);
  return index;
}

// The first 8 + N bytes of a file.
absl::StatusOr<std::string> ReadHead(checkpoint::ReadableFile& file) {
  std::string head(std::min<uint64_t>(8, file.Size()), '\0');
  MUSTER_RETURN_IF_ERROR(file.ReadAt(0, std::as_writable_bytes(std::span(head))));
  const uint64_t wanted = checkpoint::ShardHeaderBytes(head);
  if (wanted > file.Size()) {
    return InvalidArgument("its header would be {} bytes, the file has {}", wanted, file.Size());
  }
  head.resize(wanted);
  MUSTER_RETURN_IF_ERROR(file.ReadAt(0, std::as_writable_bytes(std::span(head))));
  return head;
}

absl::Status AsInvalid(const absl::Status& status, const std::string& name) {
  if (status.ok()) return status;
  return InvalidArgument("{}: {}", name, std::string(status.message()));
}

}  // namespace

absl::StatusOr<TensorFolder> TensorFolder::Open(const std::string& folder,
                                                checkpoint::FileSystem& files) {
  TensorFolder out;
  MUSTER_ASSIGN_OR_RETURN(const bool single, files.Exists(folder + "/" + kSingle));
  MUSTER_ASSIGN_OR_RETURN(const bool indexed, files.Exists(folder + "/" + kIndex));
  if (!indexed && !single) {
    return NotFound(
        "neither {} nor {} in {}; a folder of .bin files must be saved again as safetensors",
        kSingle, kIndex, folder);
  }
  if (!indexed) {
    MUSTER_RETURN_IF_ERROR(out.AddFile(folder, kSingle, files));
    return out;
  }
  MUSTER_ASSIGN_OR_RETURN(const auto index, ReadIndex(folder + "/" + kIndex, files));
  std::set<std::string> names;
  for (const auto& [tensor, file] : index) names.insert(file);
  const std::vector<std::string> order(names.begin(), names.end());
  for (const std::string& name : order) {
    MUSTER_RETURN_IF_ERROR(out.AddFile(folder, name, files));
  }
  for (const auto& [tensor, file] : index) {
    const auto found = out.tensors_.find(tensor);
    if (found == out.tensors_.end() || order[found->second.file] != file) {
      return InvalidArgument("{} says that {} holds {}, which it does not", kIndex, file, tensor);
    }
  }
  return out;
}

absl::Status TensorFolder::AddFile(const std::string& folder, const std::string& name,
                                   checkpoint::FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(auto file, files.Open(folder + "/" + name));
  const absl::StatusOr<std::string> head = ReadHead(*file);
  MUSTER_RETURN_IF_ERROR(AsInvalid(head.status(), name));
  const auto header = checkpoint::ParseSafetensorsHeader(*head);
  MUSTER_RETURN_IF_ERROR(AsInvalid(header.status(), name));
  if (header->data_begin + header->data_bytes != file->Size()) {
    return InvalidArgument("{}: {} bytes by its header, the file has {}", name,
                           header->data_begin + header->data_bytes, file->Size());
  }
  for (const checkpoint::HeaderEntry& entry : header->entries) {
    const FolderTensor tensor{entry.dtype, entry.shape, files_.size(),
                              header->data_begin + entry.begin};
    if (!tensors_.emplace(entry.name, tensor).second) {
      return InvalidArgument("{}: {} is in another file too", name, entry.name);
    }
  }
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::Status TensorFolder::Read(const FolderTensor& tensor, uint64_t first,
                                std::span<float> floats) {
  const uint64_t element = checkpoint::DTypeBytes(tensor.dtype);
  checkpoint::ReadableFile& file = *files_[tensor.file];
  if (tensor.dtype == checkpoint::DType::kF32) {
    return file.ReadAt(tensor.begin + first * element, std::as_writable_bytes(floats));
  }
  buffer_.resize(floats.size() * element);
  MUSTER_RETURN_IF_ERROR(file.ReadAt(tensor.begin + first * element, buffer_));
  checkpoint::ToFloats(tensor.dtype, buffer_, floats);
  return absl::OkStatus();
}

}  // namespace muster::interchange
