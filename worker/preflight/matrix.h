// Does the processor compute what it should, every time?
//
// Each thread multiplies the same two matrices of small whole numbers again and again. Their
// product is exact in float, so it is compared bit for bit: the first time with the product in
// integers, then every time with the first.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster::worker::preflight {

struct MatrixOptions {
  uint32_t size = 256;  // rows and columns, at most 1024
  uint32_t threads = 1;
  absl::Duration span = absl::Seconds(2);  // each thread computes at least once
};

// In 1e9 operations per second, of all threads. Errors: kDataLoss with thread, repetition, element.
absl::StatusOr<double> TestMatrix(const MatrixOptions& options);

}  // namespace muster::worker::preflight
