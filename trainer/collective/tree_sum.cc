#include "trainer/collective/tree_sum.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/check.h"

namespace muster::trainer::collective {
namespace {

constexpr size_t kBlock = 2048;  // floats; the scratch of a few ranks stays in the L1/L2 cache

void Add(const float* a, const float* b, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = a[i] + b[i];
}

}  // namespace

void TreeSum(std::span<const float* const> parts, std::span<float> out) {
  CHECK(!parts.empty(), "tree sum of nothing");
  const size_t n = parts.size();
  if (n == 1) {
    if (parts[0] != out.data()) std::memcpy(out.data(), parts[0], out.size_bytes());
    return;
  }
  if (n == 2) {
    Add(parts[0], parts[1], out.data(), out.size());
    return;
  }
  std::vector<float> scratch(((n + 1) / 2) * kBlock);
  std::vector<const float*> level((n + 1) / 2);
  for (size_t begin = 0; begin < out.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, out.size() - begin);
    for (size_t i = 0; i + 1 < n; i += 2) {
      Add(parts[i] + begin, parts[i + 1] + begin, &scratch[(i / 2) * kBlock], count);
      level[i / 2] = &scratch[(i / 2) * kBlock];
    }
    if (n % 2 == 1) level[n / 2] = parts[n - 1] + begin;
    size_t width = (n + 1) / 2;
    while (width > 1) {
      for (size_t i = 0; i + 1 < width; i += 2) {
        Add(level[i], level[i + 1], &scratch[(i / 2) * kBlock], count);
        level[i / 2] = &scratch[(i / 2) * kBlock];
      }
      if (width % 2 == 1) level[width / 2] = level[width - 1];
      width = (width + 1) / 2;
    }
    std::memcpy(out.data() + begin, level[0], count * sizeof(float));
  }
}

}  // namespace muster::trainer::collective
