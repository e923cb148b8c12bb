#include "worker/preflight/matrix.h"

#include <cstring>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/status.h"

namespace muster::worker::preflight {
namespace {

int32_t Left(uint32_t row, uint32_t k) { return static_cast<int32_t>((row * 5 + k * 3) % 15) - 7; }
int32_t Right(uint32_t k, uint32_t column) {
  return static_cast<int32_t>((k * 7 + column * 11) % 13) - 6;
}

using Matrix = std::vector<float>;  // [size, size], row-major

size_t Elements(uint32_t size) { return size_t{size} * size; }

void Multiply(const Matrix& left, const Matrix& right, uint32_t size, Matrix& product) {
  std::fill(product.begin(), product.end(), 0.0F);
  for (uint32_t row = 0; row < size; ++row) {
    for (uint32_t k = 0; k < size; ++k) {
      const float factor = left[row * size + k];
      const float* from = &right[size_t{k} * size];
      float* to = &product[size_t{row} * size];
      for (uint32_t column = 0; column < size; ++column) to[column] += factor * from[column];
    }
  }
}

struct Inputs {
  Matrix left, right, product;  // the product by integers
};

Inputs MakeInputs(uint32_t size) {
  Inputs inputs{Matrix(Elements(size)), Matrix(Elements(size)), Matrix(Elements(size))};
  std::vector<int32_t> sums(size);
  for (uint32_t row = 0; row < size; ++row) {
    std::fill(sums.begin(), sums.end(), 0);
    for (uint32_t k = 0; k < size; ++k) {
      inputs.left[row * size + k] = static_cast<float>(Left(row, k));
      for (uint32_t column = 0; column < size; ++column) {
        sums[column] += Left(row, k) * Right(k, column);
      }
    }
    for (uint32_t column = 0; column < size; ++column) {
      inputs.right[row * size + column] = static_cast<float>(Right(row, column));
      inputs.product[row * size + column] = static_cast<float>(sums[column]);
    }
  }
  return inputs;
}

struct Finding {
  uint64_t repetitions = 0;
  absl::Status status;
};

void RunThread(const Inputs& inputs, uint32_t size, uint32_t thread, absl::Time until,
               Finding& finding) {
  Matrix product(Elements(size));
  do {
    Multiply(inputs.left, inputs.right, size, product);
    ++finding.repetitions;
    if (std::memcmp(product.data(), inputs.product.data(), product.size() * sizeof(float)) == 0) {
      continue;
    }
    size_t at = 0;
    while (at + 1 < product.size() && product[at] == inputs.product[at]) ++at;
    finding.status =
        DataLoss("matrix product: thread {}, repetition {}: element ({}, {}) is {}, not {}", thread,
                 finding.repetitions, at / size, at % size, product[at], inputs.product[at]);
    return;
  } while (absl::Now() < until);
}

}  // namespace

absl::StatusOr<double> TestMatrix(const MatrixOptions& options) {
  const Inputs inputs = MakeInputs(options.size);
  std::vector<Finding> findings(options.threads);
  std::vector<std::thread> threads;
  const absl::Time begin = absl::Now();
  for (uint32_t i = 0; i < options.threads; ++i) {
    threads.emplace_back(
        [&, i] { RunThread(inputs, options.size, i, begin + options.span, findings[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  uint64_t repetitions = 0;
  for (const Finding& finding : findings) {
    MUSTER_RETURN_IF_ERROR(finding.status);
    repetitions += finding.repetitions;
  }
  const double size = options.size;
  return static_cast<double>(repetitions) * 2 * size * size * size / seconds / 1e9;
}

}  // namespace muster::worker::preflight
