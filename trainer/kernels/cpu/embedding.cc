#include "trainer/kernels/cpu/embedding.h"

#include <cstring>

#include "trainer/kernels/cpu/vector_ops.h"

namespace muster::trainer::kernels::cpu {

void EmbeddingForward(const float* table, int64_t first, int64_t held, const int32_t* tokens,
                      int64_t rows, int64_t width, float* out) {
  const size_t bytes = static_cast<size_t>(width) * sizeof(float);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t index = tokens[row] - first;
    if (index >= 0 && index < held) {
      std::memcpy(out + row * width, table + index * width, bytes);
    } else {
      std::memset(out + row * width, 0, bytes);
    }
  }
}

void EmbeddingBackward(const float* dout, int64_t first, int64_t held, const int32_t* tokens,
                       int64_t rows, int64_t width, float* dtable) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t index = tokens[row] - first;
    if (index < 0 || index >= held) continue;
    const size_t n = static_cast<size_t>(width);
    Add(dtable + index * width, dout + row * width, dtable + index * width, n);
  }
}

}  // namespace muster::trainer::kernels::cpu
