#include "trainer/model/init.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "common/check.h"

namespace muster::trainer::model {
namespace {

// SplitMix64's output function (Steele, Lea, Flood 2014): counter in, random bits out.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// FNV-1a
uint64_t HashOf(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// Standard normal by Box and Muller, from the element's own 64 bits.
double Normal(uint64_t key, uint64_t index) {
  const uint64_t bits = Mix(key + index * 0x9e3779b97f4a7c15u);
  const double u = (static_cast<double>(bits >> 32) + 0.5) * 0x1p-32;  // in (0, 1)
  const double v = static_cast<double>(bits & 0xffffffffu) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

bool EndsBranch(std::string_view name) {
  return name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
}

}  // namespace

void InitParameters(const parallel::ModelConfig& config, const parallel::ParameterTable& table,
                    uint64_t seed, std::span<float> params) {
  CHECK(params.size() == table.size, "{} params for {}", params.size(), table.size);
  std::fill(params.begin(), params.end(), 0.0f);
  for (const parallel::Parameter& parameter : table.parameters) {
    float* out = params.data() + parameter.begin;
    if (parameter.local_shape.size() == 1) {
      std::fill(out, out + parameter.count, 1.0f);
      continue;
    }
    const double deviation =
        EndsBranch(parameter.name) ? 0.02 / std::sqrt(2.0 * config.layers) : 0.02;
    const uint64_t key = Mix(Mix(seed) ^ HashOf(parameter.name));
    const int64_t first_row = parameter.split_dim == 0 ? parameter.split_offset : 0;
    const int64_t first_column = parameter.split_dim == 1 ? parameter.split_offset : 0;
    for (int64_t row = 0; row < parameter.local_shape[0]; ++row) {
      const int64_t begin = (first_row + row) * parameter.global_shape[1] + first_column;
      for (int64_t column = 0; column < parameter.local_shape[1]; ++column) {
        *out++ = static_cast<float>(deviation * Normal(key, static_cast<uint64_t>(begin + column)));
      }
    }
  }
}

}  // namespace muster::trainer::model
