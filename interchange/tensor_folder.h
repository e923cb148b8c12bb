// Reads the tensors of a Hugging Face folder: model.safetensors, or several files named by
// model.safetensors.index.json.
//
// Everything in such a folder comes from strangers. Refused, each with the file and the tensor:
// file names that lead elsewhere, headers that do not describe the file's bytes exactly (holes,
// overlaps, sizes that overflow, bytes left over), a tensor that is in two files, or not where the
// index says.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/box.h"
#include "checkpoint/file_system.h"

namespace muster::interchange {

struct FolderTensor {
  checkpoint::DType dtype = checkpoint::DType::kF32;
  std::vector<uint64_t> shape;
  size_t file = 0;
  uint64_t begin = 0;  // in the file

  bool operator==(const FolderTensor&) const = default;
};

class TensorFolder {
 public:
  // Errors: kNotFound: no safetensors there; kInvalidArgument: as above.
  static absl::StatusOr<TensorFolder> Open(const std::string& folder,
                                           checkpoint::FileSystem& files);

  const std::map<std::string, FolderTensor>& tensors() const { return tensors_; }

  // Elements [first, first + floats.size()) of the tensor, as fp32.
  absl::Status Read(const FolderTensor& tensor, uint64_t first, std::span<float> floats);

 private:
  absl::Status AddFile(const std::string& folder, const std::string& name,
                       checkpoint::FileSystem& files);

  std::vector<std::unique_ptr<checkpoint::ReadableFile>> files_;
  std::map<std::string, FolderTensor> tensors_;
  std::vector<std::byte> buffer_;
};

}  // namespace muster::interchange
