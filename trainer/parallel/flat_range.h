// From ranges of the flat buffer to boxes of whole tensors, and to the shards of ZeRO-1
// (Rajbhandari et al., arXiv:1910.02054).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::parallel {

// A box of a whole tensor that lies row-major and without gaps at flat_begin.
struct Piece {
  std::string name;
  std::vector<int64_t> global_shape;
  std::vector<int64_t> offset;  // of the box in the whole tensor
  std::vector<int64_t> extent;
  size_t flat_begin = 0;
  size_t count = 0;
  bool replicated = false;  // every tensor rank has this box; let tensor rank 0 write it
};

// [range.begin, range.end) as boxes, by flat_begin: at most three per parameter (the rest of a
// row, whole rows, the start of a row). Padding is in no box.
std::vector<Piece> PiecesOfRange(const ParameterTable& table, Interval range);

// `whole` cut into `shards` runs of whole blocks that differ by at most one block, in order; later
// ones may be empty. `whole` begins and ends on a block (a bucket, or the whole buffer).
std::vector<Interval> ShardsOf(Interval whole, int shards);

}  // namespace muster::trainer::parallel
