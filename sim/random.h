// Random numbers that are the same on every machine for one seed (xoshiro256**).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace muster::sim {

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) {
    uint64_t x = seed * 0x9E3779B97F4A7C15u + stream * 0xD1B54A32D192ED03u + 1;
    for (uint64_t& word : state_) {  // splitmix64
      x += 0x9E3779B97F4A7C15u;
      uint64_t z = x;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      word = z ^ (z >> 31);
    }
  }

  uint64_t Next() {
    const uint64_t result = Turn(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = Turn(state_[3], 45);
    return result;
  }

  uint64_t Below(uint64_t n) { return n == 0 ? 0 : Next() % n; }
  int64_t Between(int64_t low, int64_t high) {  // both ends included
    return high <= low ? low : low + static_cast<int64_t>(Below(uint64_t(high - low) + 1));
  }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // [0, 1)
  bool Chance(double probability) { return probability > 0 && Unit() < probability; }
  int64_t Exponential(int64_t mean) {
    return static_cast<int64_t>(-std::log1p(-Unit()) * static_cast<double>(mean));
  }

 private:
  static uint64_t Turn(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }
  std::array<uint64_t, 4> state_;
};

}  // namespace muster::sim
