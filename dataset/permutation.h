// A keyed bijection of [0, size): the order in which an epoch visits its windows.
//
// Feistel network of 4 rounds over the next even power of two, walked until it falls inside; so it
// needs no memory and any element is found alone.
#pragma once

#include <cstdint>

namespace muster::dataset {

class Permutation {
 public:
  Permutation(uint64_t size, uint64_t key);   // CHECKs 0 < size <= 2^62
  uint64_t operator()(uint64_t index) const;  // CHECKs index < size

 private:
  uint64_t size_;
  uint64_t key_;
  int half_bits_;
};

// A good 64-bit mix (splitmix64's finaliser) of two values.
uint64_t Mix(uint64_t a, uint64_t b);

}  // namespace muster::dataset
