#include "checkpoint/fingerprint.h"

#include <cstring>

#include "common/check.h"

// The sanitizers start after the loader has picked clones.
#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
#define FINGERPRINT_CLONES
#else
#define FINGERPRINT_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

namespace muster::checkpoint {
namespace {

// Two rounds of multiply and shift; the low bit set, so that multiplying by it loses nothing.
__attribute__((always_inline)) inline uint64_t Key(uint64_t i) {
  uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 32) * 0xbf58476d1ce4e5b9u;
  return (z ^ z >> 29) | 1;
}

template <typename T>
__attribute__((always_inline)) inline uint64_t Sum(uint64_t first, const std::byte* bytes,
                                                   uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) {
    T bits;
    std::memcpy(&bits, bytes + i * sizeof(T), sizeof(T));
    sum += Key(first + i) * bits;
  }
  return sum;
}

FINGERPRINT_CLONES uint64_t Sum4(uint64_t first, const std::byte* bytes, uint64_t count) {
  return Sum<uint32_t>(first, bytes, count);
}

FINGERPRINT_CLONES uint64_t Sum2(uint64_t first, const std::byte* bytes, uint64_t count) {
  return Sum<uint16_t>(first, bytes, count);
}

uint64_t SumOf(uint64_t element, uint64_t first, const std::byte* bytes, uint64_t count) {
  switch (element) {
    case 8:  // as halves: two top bits of 64 would undo each other
      return Sum4(2 * first, bytes, 2 * count);
    case 1:
      return Sum<uint8_t>(first, bytes, count);
    case 2:
      return Sum2(first, bytes, count);
    default:
      return Sum4(first, bytes, count);
  }
}

}  // namespace

uint64_t Fingerprint(const Box& box, std::span<const std::byte> bytes) {
  CHECK(bytes.size() == ByteCount(box), "{} bytes for {}", bytes.size(), BoxText(box));
  if (bytes.empty()) return 0;
  const uint64_t element = DTypeBytes(box.dtype);
  uint64_t sum = 0;
  for (const Run& run : CopyRuns(box, WholeTensor(box.tensor, box.dtype, box.shape))) {
    sum += SumOf(element, run.to / element, bytes.data() + run.from, run.bytes / element);
  }
  return sum;
}

}  // namespace muster::checkpoint
