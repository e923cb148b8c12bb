#include "interchange/plain_header.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace muster::interchange {

using Json = nlohmann::ordered_json;

std::string PlainHeader(std::span<const PlainTensor> tensors) {
  Json json = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t begin = 0;
  for (const PlainTensor& tensor : tensors) {
    const uint64_t end = begin + tensor.bytes();
    json[tensor.name] = {{"dtype", checkpoint::DTypeName(tensor.dtype)},
                         {"shape", tensor.shape},
                         {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = json.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  return out + text;
}

std::vector<std::vector<PlainTensor>> CutIntoFiles(std::span<const PlainTensor> tensors,
                                                   uint64_t bytes_max) {
  std::vector<std::vector<PlainTensor>> files(1);
  uint64_t bytes = 0;
  for (const PlainTensor& tensor : tensors) {
    if (!files.back().empty() && bytes + tensor.bytes() > bytes_max) {
      files.emplace_back();
      bytes = 0;
    }
    bytes += tensor.bytes();
    files.back().push_back(tensor);
  }
  return files;
}

std::string PlainFileName(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

std::string IndexJson(const std::vector<std::vector<PlainTensor>>& files) {
  uint64_t bytes = 0;
  nlohmann::json map = nlohmann::json::object();
  for (size_t i = 0; i < files.size(); ++i) {
    for (const PlainTensor& tensor : files[i]) {
      bytes += tensor.bytes();
      map[tensor.name] = PlainFileName(i, files.size());
    }
  }
  const nlohmann::json json = {{"metadata", {{"total_size", bytes}}}, {"weight_map", map}};
  return json.dump(2) + "\n";
}

}  // namespace muster::interchange
