// A 64-bit number that tells whether a tensor is what it was, however it is cut.
//
// The fingerprint of a box is the sum, modulo 2^64, over its elements of key(i) · bits, where i is
// the element's place in the whole tensor (row-major) and key(i) an odd pseudo-random number; an
// element of 64 bits counts as two of 32, 2i and 2i + 1. So the fingerprints of boxes that tile a
// tensor add up to the tensor's own, in any layout and any order. A change within 32 bits always
// changes it; other changes are missed about once in 2^64 if they are random (multilinear hashing:
// Lemire, Kaser 2014, arXiv:1202.4961, with keys computed instead of stored). It guards against
// machines that err, not against people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "checkpoint/box.h"

namespace muster::checkpoint {

// CHECKs that `bytes` holds ByteCount(box).
uint64_t Fingerprint(const Box& box, std::span<const std::byte> bytes);

}  // namespace muster::checkpoint
