#include "trainer/kernels/cpu/flush_denormals.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace muster::trainer::kernels::cpu {

void FlushDenormals() {
#if defined(__x86_64__)
  constexpr unsigned kFlushToZero = 0x8000;
  constexpr unsigned kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
}

}  // namespace muster::trainer::kernels::cpu
