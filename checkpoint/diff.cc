#include "checkpoint/diff.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "checkpoint/batches.h"
#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/number.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

void AddDifference(double a, double b, TensorDiff& diff) {
  ++diff.differing;
  if (std::isnan(a) && std::isnan(b)) return;
  const double abs = std::abs(a - b);
  if (std::isnan(abs)) {  // one NaN, or infinities of unlike sign
    diff.max_abs = diff.max_rel = std::numeric_limits<double>::infinity();
    return;
  }
  diff.max_abs = std::max(diff.max_abs, abs);
  const double scale = std::max(std::abs(a), std::abs(b));
  if (std::isinf(abs)) {
    diff.max_rel = abs;
  } else if (scale > 0) {
    diff.max_rel = std::max(diff.max_rel, abs / scale);
  }
}

void Compare(DType dtype, std::span<const std::byte> a, std::span<const std::byte> b,
             TensorDiff& diff) {
  if (std::memcmp(a.data(), b.data(), a.size()) == 0) return;
  const uint64_t element = DTypeBytes(dtype);
  for (uint64_t at = 0; at < a.size(); at += element) {
    if (std::memcmp(a.data() + at, b.data() + at, element) == 0) continue;
    AddDifference(NumberAt(dtype, a.data() + at), NumberAt(dtype, b.data() + at), diff);
  }
}

bool Wanted(const std::string& name, const std::string& only) { return name.starts_with(only); }

}  // namespace

bool DiffReport::identical() const {
  return only_a.empty() && only_b.empty() &&
         std::all_of(tensors.begin(), tensors.end(),
                     [](const TensorDiff& diff) { return diff.identical(); });
}

absl::StatusOr<DiffReport> Diff(const std::string& a, const std::string& b, const std::string& only,
                                const DiffProgress& progress, FileSystem& files,
                                uint64_t batch_bytes) {
  MUSTER_ASSIGN_OR_RETURN(const Manifest left, ReadManifest(a, files));
  MUSTER_ASSIGN_OR_RETURN(const Manifest right, ReadManifest(b, files));
  DiffReport report;
  std::vector<Box> wanted;
  uint64_t total = 0;
  for (const Tensor& tensor : left.tensors) {
    if (!Wanted(tensor.name, only)) continue;
    const Tensor* other = FindTensor(right, tensor.name);
    if (other == nullptr) {
      report.only_a.push_back(tensor.name);
      continue;
    }
    TensorDiff diff;
    diff.name = tensor.name;
    diff.dtype_a = tensor.dtype;
    diff.dtype_b = other->dtype;
    diff.shape_a = tensor.shape;
    diff.shape_b = other->shape;
    if (diff.comparable()) {
      const Box whole = WholeTensor(tensor.name, tensor.dtype, tensor.shape);
      diff.elements = ElementCount(whole);
      total += ByteCount(whole);
      wanted.push_back(whole);
    }
    report.tensors.push_back(std::move(diff));
  }
  for (const Tensor& tensor : right.tensors) {
    if (Wanted(tensor.name, only) && FindTensor(left, tensor.name) == nullptr) {
      report.only_b.push_back(tensor.name);
    }
  }
  // Both are by name.
  auto diff = report.tensors.begin();
  uint64_t done = 0;
  std::vector<std::byte> memory;
  const auto compare = [&](std::span<const LoadedBox> loaded) -> absl::Status {
    uint64_t bytes = 0;
    for (const LoadedBox& one : loaded) bytes += one.bytes.size();
    if (memory.size() < bytes) memory.resize(bytes);
    std::vector<Request> requests;
    uint64_t at = 0;
    for (const LoadedBox& one : loaded) {
      requests.push_back({*one.box, std::span(memory).subspan(at, one.bytes.size())});
      at += one.bytes.size();
    }
    MUSTER_RETURN_IF_ERROR(Load(b, right, requests, files).status());
    for (size_t i = 0; i < loaded.size(); ++i) {
      while (diff->name != loaded[i].box->tensor) ++diff;
      Compare(diff->dtype_a, loaded[i].bytes, requests[i].bytes, *diff);
    }
    done += bytes;
    if (progress) progress(done, total);
    return absl::OkStatus();
  };
  MUSTER_RETURN_IF_ERROR(ForEachBatch(a, left, wanted, batch_bytes, compare, files));
  return report;
}

}  // namespace muster::checkpoint
