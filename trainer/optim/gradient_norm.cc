#include "trainer/optim/gradient_norm.h"

#include <algorithm>

#include "common/check.h"
#include "trainer/kernels/cpu/vector_ops.h"

namespace muster::trainer::optim {

using parallel::Interval;
using parallel::kBlock;
using parallel::Parameter;

std::vector<double> BlockSquares(const parallel::ParameterTable& table, Interval interval,
                                 std::span<const float> grads) {
  CHECK(interval.begin % kBlock == 0 && interval.end % kBlock == 0, "[{}, {}) is not whole blocks",
        interval.begin, interval.end);
  CHECK(grads.size() == interval.count(), "{} gradients for {} places", grads.size(),
        interval.count());
  std::vector<double> squares;
  squares.reserve(interval.count() / kBlock);
  size_t first = 0;  // the first parameter that may reach into the block
  for (size_t begin = interval.begin; begin < interval.end; begin += kBlock) {
    const Interval block{begin, begin + kBlock};
    while (first < table.parameters.size() &&
           table.parameters[first].interval().end <= block.begin) {
      ++first;
    }
    double sum = 0;
    for (size_t i = first; i < table.parameters.size(); ++i) {
      const Parameter& parameter = table.parameters[i];
      if (parameter.begin >= block.end) break;
      if (parameter.replicated() && table.tensor_rank != 0) continue;
      const Interval part = parallel::Intersect(parameter.interval(), block);
      sum += kernels::cpu::SumOfSquares(&grads[part.begin - interval.begin], part.count());
    }
    squares.push_back(sum);
  }
  return squares;
}

float ClipScale(double norm, double clip) {
  if (clip <= 0 || norm <= clip) return 1.0F;
  return static_cast<float>(clip / norm);
}

}  // namespace muster::trainer::optim
