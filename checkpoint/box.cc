#include "checkpoint/box.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/check.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<DTypeRow, 7> kDTypes = {{{DType::kF64, "F64", 8},
                                              {DType::kF32, "F32", 4},
                                              {DType::kBF16, "BF16", 2},
                                              {DType::kF16, "F16", 2},
                                              {DType::kI64, "I64", 8},
                                              {DType::kI32, "I32", 4},
                                              {DType::kU8, "U8", 1}}};
constexpr uint64_t kBytesMax = 1ull << 60;
constexpr size_t kAxesMax = 8;
constexpr size_t kNameBytesMax = 512;

const DTypeRow& Row(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row;
  }
  CHECK(false, "dtype {} is unknown", static_cast<int>(dtype));
  return kDTypes[0];
}

uint64_t Product(const std::vector<uint64_t>& sides) {
  uint64_t product = 1;
  for (uint64_t side : sides) product *= side;
  return product;
}

void AppendFlatRange(const Box& box, size_t axis, uint64_t begin, uint64_t end, Box part,
                     std::vector<Box>& out) {
  if (begin == end) return;
  if (axis == box.extent.size()) {
    out.push_back(std::move(part));
    return;
  }
  uint64_t inner = 1;
  for (size_t a = axis + 1; a < box.extent.size(); ++a) inner *= box.extent[a];
  uint64_t first = begin / inner;
  const uint64_t last = end / inner;
  auto row = [&](uint64_t index, uint64_t from, uint64_t to) {
    Box inside = part;
    inside.offset[axis] = box.offset[axis] + index;
    inside.extent[axis] = 1;
    AppendFlatRange(box, axis + 1, from, to, std::move(inside), out);
  };
  if (first == last) return row(first, begin % inner, end % inner);
  if (begin % inner != 0) row(first++, begin % inner, inner);
  if (first < last) {
    Box rows = part;
    rows.offset[axis] = box.offset[axis] + first;
    rows.extent[axis] = last - first;
    out.push_back(std::move(rows));
  }
  if (end % inner != 0) row(last, 0, end % inner);
}

}  // namespace

uint64_t DTypeBytes(DType dtype) { return Row(dtype).bytes; }
std::string DTypeName(DType dtype) { return std::string(Row(dtype).name); }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

Box WholeTensor(std::string tensor, DType dtype, std::vector<uint64_t> shape) {
  Box box{.tensor = std::move(tensor), .dtype = dtype, .shape = shape, .offset = {}, .extent = {}};
  box.offset.assign(shape.size(), 0);
  box.extent = std::move(shape);
  return box;
}

uint64_t ElementCount(const Box& box) { return Product(box.extent); }
uint64_t ByteCount(const Box& box) { return ElementCount(box) * DTypeBytes(box.dtype); }
bool IsEmpty(const Box& box) { return ElementCount(box) == 0; }

std::string BoxText(const Box& box) {
  std::vector<std::string> sides;
  for (size_t a = 0; a < box.offset.size(); ++a) {
    sides.push_back(fmt::format("{}:{}", box.offset[a], box.offset[a] + box.extent[a]));
  }
  return fmt::format("{}[{}] of [{}] {}", box.tensor, fmt::join(sides, ","),
                     fmt::join(box.shape, ","), DTypeName(box.dtype));
}

absl::Status ValidateBox(const Box& box) {
  if (box.tensor.empty() || box.tensor.size() > kNameBytesMax) {
    return InvalidArgument("tensor name of {} bytes: use 1 to {}", box.tensor.size(),
                           kNameBytesMax);
  }
  for (char c : box.tensor) {
    if (c <= ' ' || c > '~' || c == '@' || c == '"' || c == '\\') {
      return InvalidArgument("tensor name has the byte {:#04x}: use letters, digits and . _ - /",
                             static_cast<unsigned char>(c));
    }
  }
  if (box.shape.size() > kAxesMax) {
    return InvalidArgument("{}: {} axes, at most {}", box.tensor, box.shape.size(), kAxesMax);
  }
  if (box.offset.size() != box.shape.size() || box.extent.size() != box.shape.size()) {
    return InvalidArgument("{}: shape has {} axes, offset {}, extent {}", box.tensor,
                           box.shape.size(), box.offset.size(), box.extent.size());
  }
  // Sides of an empty tensor count too: 0 x 2^63 is refused.
  uint64_t bytes = DTypeBytes(box.dtype);
  for (size_t a = 0; a < box.shape.size(); ++a) {
    if (box.offset[a] > box.shape[a] || box.extent[a] > box.shape[a] - box.offset[a]) {
      return InvalidArgument("{}: axis {}: offset {} + extent {} is outside of {}", box.tensor, a,
                             box.offset[a], box.extent[a], box.shape[a]);
    }
    if (__builtin_mul_overflow(bytes, std::max<uint64_t>(box.shape[a], 1), &bytes) ||
        bytes > kBytesMax) {
      return InvalidArgument("{}: larger than 2^60 bytes", box.tensor);
    }
  }
  return absl::OkStatus();
}

std::optional<Box> Intersect(const Box& a, const Box& b) {
  CHECK(a.shape.size() == b.shape.size(), "{} and {}", BoxText(a), BoxText(b));
  if (a.tensor != b.tensor) return std::nullopt;
  Box common = a;
  for (size_t axis = 0; axis < a.shape.size(); ++axis) {
    const uint64_t begin = std::max(a.offset[axis], b.offset[axis]);
    const uint64_t end = std::min(a.offset[axis] + a.extent[axis], b.offset[axis] + b.extent[axis]);
    if (begin >= end) return std::nullopt;
    common.offset[axis] = begin;
    common.extent[axis] = end - begin;
  }
  return common;
}

std::vector<Box> FlatRange(const Box& box, uint64_t begin, uint64_t end) {
  CHECK(begin <= end && end <= ElementCount(box), "[{}, {}) of {}", begin, end, BoxText(box));
  std::vector<Box> out;
  AppendFlatRange(box, 0, begin, end, box, out);
  return out;
}

std::vector<Run> CopyRuns(const Box& source, const Box& target) {
  std::vector<Run> runs;
  const std::optional<Box> common = Intersect(source, target);
  if (!common) return runs;
  const size_t axes = common->shape.size();
  const uint64_t element = DTypeBytes(source.dtype);
  // Axes from `inner` on are copied whole on both sides, so they are one run together with axis
  // inner - 1.
  size_t inner = axes;
  uint64_t run_elements = 1;
  while (inner > 0) {
    --inner;
    run_elements *= common->extent[inner];
    if (common->extent[inner] != source.extent[inner] ||
        common->extent[inner] != target.extent[inner]) {
      break;
    }
  }
  std::vector<uint64_t> from_stride(axes, 1), to_stride(axes, 1);
  for (size_t a = axes; a-- > 1;) {
    from_stride[a - 1] = from_stride[a] * source.extent[a];
    to_stride[a - 1] = to_stride[a] * target.extent[a];
  }
  uint64_t from = 0, to = 0, count = 1;
  for (size_t a = 0; a < axes; ++a) {
    from += (common->offset[a] - source.offset[a]) * from_stride[a];
    to += (common->offset[a] - target.offset[a]) * to_stride[a];
    if (a < inner) count *= common->extent[a];
  }
  runs.reserve(count);
  std::vector<uint64_t> index(inner, 0);
  for (uint64_t n = 0; n < count; ++n) {
    runs.push_back({from * element, to * element, run_elements * element});
    for (size_t a = inner; a-- > 0;) {
      from += from_stride[a];
      to += to_stride[a];
      if (++index[a] < common->extent[a]) break;
      from -= from_stride[a] * common->extent[a];
      to -= to_stride[a] * common->extent[a];
      index[a] = 0;
    }
  }
  return runs;
}

uint64_t CopyIntersection(const Box& source, std::span<const std::byte> source_bytes,
                          const Box& target, std::span<std::byte> target_bytes) {
  CHECK(source_bytes.size() == ByteCount(source), "{} bytes for {}", source_bytes.size(),
        BoxText(source));
  CHECK(target_bytes.size() == ByteCount(target), "{} bytes for {}", target_bytes.size(),
        BoxText(target));
  uint64_t copied = 0;
  for (const Run& run : CopyRuns(source, target)) {
    std::memcpy(target_bytes.data() + run.to, source_bytes.data() + run.from, run.bytes);
    copied += run.bytes;
  }
  return copied;
}

}  // namespace muster::checkpoint
