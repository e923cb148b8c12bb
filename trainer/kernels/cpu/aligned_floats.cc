#include "trainer/kernels/cpu/aligned_floats.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "common/check.h"

namespace muster::trainer::kernels::cpu {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void AlignedFloats::Free::operator()(float* data) const { std::free(data); }

AlignedFloats::AlignedFloats(size_t count) : count_(count) {
  const size_t bytes = (count * sizeof(float) + kLine - 1) / kLine * kLine;
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePage;
  const size_t alignment = huge ? kHugePage : kLine;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  CHECK(data != nullptr, "no memory for {} floats", count);
  if (huge) madvise(data, bytes, MADV_HUGEPAGE);  // advice only
  std::memset(data, 0, bytes);                    // faults every page now, not in the first step
  data_.reset(static_cast<float*>(data));
}

}  // namespace muster::trainer::kernels::cpu
