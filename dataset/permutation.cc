#include "dataset/permutation.h"

#include <bit>

#include "common/check.h"

namespace muster::dataset {

uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

Permutation::Permutation(uint64_t size, uint64_t key) : size_(size), key_(key) {
  CHECK(size > 0 && size <= (1ull << 62), "permutation of {}", size);
  const int bits = static_cast<int>(std::bit_width(size - 1));
  half_bits_ = bits < 2 ? 1 : (bits + 1) / 2;
}

uint64_t Permutation::operator()(uint64_t index) const {
  CHECK(index < size_, "{} of {}", index, size_);
  const uint64_t mask = (1ull << half_bits_) - 1;
  uint64_t value = index;
  // The domain is at most 4 times (8 for tiny ones) the size: a few turns.
  do {
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t next = left ^ (Mix(Mix(key_, round), right) & mask);
      left = right;
      right = next;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return value;
}

}  // namespace muster::dataset
