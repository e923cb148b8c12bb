// The elements of tensors as numbers, and fp32 in half the bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "checkpoint/box.h"

namespace muster::checkpoint {

// The element that begins at `bytes` (little-endian, no alignment needed). I64 beyond 2^53 is
// rounded.
double NumberAt(DType dtype, const std::byte* bytes);

// Exact for F32, BF16, F16 (subnormals, infinities and NaNs too); F64, I64 and I32 are rounded to
// nearest even. CHECKs that `bytes` holds as many elements as `floats`.
void ToFloats(DType dtype, std::span<const std::byte> bytes, std::span<float> floats);

// Rounded to nearest, ties to even; what is too large becomes infinity, a NaN stays one.
uint16_t ToBFloat16(float value);

}  // namespace muster::checkpoint
