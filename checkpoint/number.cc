#include "checkpoint/number.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "common/check.h"

namespace muster::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

template <typename T>
T Read(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

float FromBFloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float FromFloat16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits} >> 15 << 31;
  const uint32_t exponent = (uint32_t{bits} >> 10) & 31;
  const uint32_t fraction = uint32_t{bits} & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  // Zero or subnormal: the fraction counts units of 2^-24.
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign == 0 ? magnitude : -magnitude;
}

float FloatAt(DType dtype, const std::byte* bytes) {
  switch (dtype) {
    case DType::kF32:
      return Read<float>(bytes);
    case DType::kBF16:
      return FromBFloat16(Read<uint16_t>(bytes));
    case DType::kF16:
      return FromFloat16(Read<uint16_t>(bytes));
    case DType::kF64:
    case DType::kI64:
    case DType::kI32:
    case DType::kU8:
      break;
  }
  return static_cast<float>(NumberAt(dtype, bytes));
}

}  // namespace

double NumberAt(DType dtype, const std::byte* bytes) {
  switch (dtype) {
    case DType::kF64:
      return Read<double>(bytes);
    case DType::kF32:
    case DType::kBF16:
    case DType::kF16:
      return FloatAt(dtype, bytes);
    case DType::kI64:
      return static_cast<double>(Read<int64_t>(bytes));
    case DType::kI32:
      return Read<int32_t>(bytes);
    case DType::kU8:
      return Read<uint8_t>(bytes);
  }
  return 0;
}

void ToFloats(DType dtype, std::span<const std::byte> bytes, std::span<float> floats) {
  const uint64_t element = DTypeBytes(dtype);
  CHECK(bytes.size() == floats.size() * element, "{} bytes for {} numbers", bytes.size(),
        floats.size());
  if (dtype == DType::kF32) {
    if (!bytes.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
    return;
  }
  for (size_t i = 0; i < floats.size(); ++i) {
    floats[i] = FloatAt(dtype, bytes.data() + i * element);
  }
}

uint16_t ToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);  // stays a NaN, quiet
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace muster::checkpoint
