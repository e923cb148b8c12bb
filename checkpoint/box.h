// Boxes: the part of a global tensor that somebody holds.
//
// A box's bytes are its elements in row-major order of its own extent, little-endian, packed. Keys
// are logical (tensor name + box), never rank numbers, so any layout loads any other.
//
// Shape [] is a scalar: one element, one box with offset [] and extent []. A box with a zero in its
// extent is empty and holds no bytes.
//
// Time:    none. Threads: none; plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::checkpoint {

enum class DType : uint8_t { kF64, kF32, kBF16, kF16, kI64, kI32, kU8 };

uint64_t DTypeBytes(DType dtype);
std::string DTypeName(DType dtype);  // safetensors' names: "F32", "BF16", "I64", ...
std::optional<DType> DTypeFromName(std::string_view name);

struct Box {
  std::string tensor;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;   // of the whole tensor
  std::vector<uint64_t> offset;  // where this box begins
  std::vector<uint64_t> extent;  // how much it covers

  bool operator==(const Box&) const = default;
};

// The box of a whole tensor.
Box WholeTensor(std::string tensor, DType dtype, std::vector<uint64_t> shape);

uint64_t ElementCount(const Box& box);
uint64_t ByteCount(const Box& box);
bool IsEmpty(const Box& box);
std::string BoxText(const Box& box);  // "blocks.0.wq[0:64,128:256] of [256,256] F32"

// Every other function here needs a box that passed this one.
// Errors: kInvalidArgument: no name or one over 512 bytes, control characters or '@' in it, more
// than 8 axes, sides that do not fit each other, a size over 2^60 bytes.
absl::Status ValidateBox(const Box& box);

// The common part, as a box of the same tensor; nullopt if there is none (or it is empty).
// CHECKs that both have the same rank of shape.
std::optional<Box> Intersect(const Box& a, const Box& b);

// The elements [begin, end) of `box` in its row-major order, as the fewest sub-boxes, in order; the
// bytes of each are consecutive in the box's bytes. A flat range (ZeRO-1) of a matrix is at most
// three boxes.
std::vector<Box> FlatRange(const Box& box, uint64_t begin, uint64_t end);

// One consecutive run of bytes of an intersection.
struct Run {
  uint64_t from = 0;  // byte offset inside the source box's bytes
  uint64_t to = 0;    // byte offset inside the target box's bytes
  uint64_t bytes = 0;
};

// The runs that carry the intersection from `source` to `target`, by rising `from`; as long as can
// be: a box copied onto itself is one run. Empty without an intersection.
std::vector<Run> CopyRuns(const Box& source, const Box& target);

// Copies the intersection. CHECKs that the spans hold ByteCount() bytes. Returns the bytes copied.
uint64_t CopyIntersection(const Box& source, std::span<const std::byte> source_bytes,
                          const Box& target, std::span<std::byte> target_bytes);

// Proves that boxes of one tensor cover it exactly: no gap, no element twice. Empty boxes count for
// nothing.
// Errors: kInvalidArgument names the tensor and the two boxes that overlap, or says how many
// elements are missing; also when boxes disagree about dtype or shape.
absl::Status CheckTiling(std::span<const Box> boxes);

}  // namespace muster::checkpoint
