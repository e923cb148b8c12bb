// Compares two checkpoints tensor by tensor, whatever layouts wrote them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/box.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"

namespace muster::checkpoint {

// A tensor that both have.
struct TensorDiff {
  std::string name;
  DType dtype_a = DType::kF32, dtype_b = DType::kF32;
  std::vector<uint64_t> shape_a, shape_b;
  // Of tensors with equal dtype and shape:
  uint64_t elements = 0;
  uint64_t differing = 0;  // elements whose bits differ: +0 and -0 do, and NaNs of unlike bits
  double max_abs = 0;      // |a - b|; infinity where only one of the two is a NaN
  double max_rel = 0;      // |a - b| / max(|a|, |b|)

  bool comparable() const { return dtype_a == dtype_b && shape_a == shape_b; }
  bool identical() const { return comparable() && differing == 0; }
};

struct DiffReport {
  std::vector<std::string> only_a, only_b;
  std::vector<TensorDiff> tensors;  // by name

  bool identical() const;  // the same tensors, bit for bit
};

// (bytes done, bytes in all) of one side.
using DiffProgress = std::function<void(uint64_t, uint64_t)>;

// Both are read in full and checked; at most 2 x `batch_bytes` are held. `only`: names that begin
// with it; "" = all. Errors: as ReadManifest and Load, naming the folder.
absl::StatusOr<DiffReport> Diff(const std::string& a, const std::string& b, const std::string& only,
                                const DiffProgress& progress = nullptr,
                                FileSystem& files = PosixFiles(), uint64_t batch_bytes = 64 << 20);

}  // namespace muster::checkpoint
