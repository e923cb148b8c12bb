// The header of a safetensors file of whole tensors, as the usual tools write it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "checkpoint/box.h"

namespace muster::interchange {

struct PlainTensor {
  std::string name;
  checkpoint::DType dtype = checkpoint::DType::kF32;
  std::vector<uint64_t> shape;

  uint64_t bytes() const { return ByteCount(checkpoint::WholeTensor(name, dtype, shape)); }
};

// The file's first bytes; the tensors' follow in this order, without holes. Padded to a multiple of
// 8, so every element is aligned.
std::string PlainHeader(std::span<const PlainTensor> tensors);

// Tensors in order, as few files as hold at most `bytes_max` of them each (one at least).
std::vector<std::vector<PlainTensor>> CutIntoFiles(std::span<const PlainTensor> tensors,
                                                   uint64_t bytes_max);

// "model.safetensors" of one, "model-00001-of-00003.safetensors" of several; `index` from 0.
std::string PlainFileName(size_t index, size_t count);

// model.safetensors.index.json of several files.
std::string IndexJson(const std::vector<std::vector<PlainTensor>>& files);

}  // namespace muster::interchange
