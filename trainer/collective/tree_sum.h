// The one order in which Muster adds: the pairwise tree ((0+1)+(2+3))+…, an odd last part passed
// up unchanged. Every backend and every accumulator uses it, so their bits agree.
#pragma once

#include <cstddef>
#include <span>

namespace muster::trainer::collective {

// out[i] = the tree sum of parts[0][i], parts[1][i], …; one part is copied. `out` may be one of
// the parts.
void TreeSum(std::span<const float* const> parts, std::span<float> out);

}  // namespace muster::trainer::collective
