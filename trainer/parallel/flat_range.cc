#include "trainer/parallel/flat_range.h"

#include <algorithm>

#include "common/check.h"

namespace muster::trainer::parallel {
namespace {

// Elements [from, to) of a matrix's local part, within one row or whole rows.
Piece BoxOf(const Parameter& parameter, size_t from, size_t to) {
  Piece piece;
  piece.name = parameter.name;
  piece.global_shape = parameter.global_shape;
  piece.flat_begin = parameter.begin + from;
  piece.count = to - from;
  piece.replicated = parameter.replicated();
  if (parameter.local_shape.size() == 1) {
    piece.offset = {static_cast<int64_t>(from)};
    piece.extent = {static_cast<int64_t>(to - from)};
  } else {
    const size_t columns = static_cast<size_t>(parameter.local_shape[1]);
    const size_t rows = (to - from + columns - 1) / columns;
    piece.offset = {static_cast<int64_t>(from / columns), static_cast<int64_t>(from % columns)};
    piece.extent = {static_cast<int64_t>(rows), static_cast<int64_t>((to - from) / rows)};
  }
  if (!parameter.replicated()) {
    piece.offset[static_cast<size_t>(parameter.split_dim)] += parameter.split_offset;
  }
  return piece;
}

}  // namespace

std::vector<Piece> PiecesOfRange(const ParameterTable& table, Interval range) {
  std::vector<Piece> pieces;
  for (const Parameter& parameter : table.parameters) {
    const Interval hit = Intersect(parameter.interval(), range);
    if (hit.count() == 0) continue;
    size_t from = hit.begin - parameter.begin;
    const size_t to = hit.end - parameter.begin;
    const size_t columns = static_cast<size_t>(parameter.local_shape.back());
    if (parameter.local_shape.size() == 1) {
      pieces.push_back(BoxOf(parameter, from, to));
      continue;
    }
    if (from % columns != 0) {
      const size_t end = std::min(to, (from / columns + 1) * columns);
      pieces.push_back(BoxOf(parameter, from, end));
      from = end;
    }
    if (const size_t end = to / columns * columns; from < end) {
      pieces.push_back(BoxOf(parameter, from, end));
      from = end;
    }
    if (from < to) pieces.push_back(BoxOf(parameter, from, to));
  }
  return pieces;
}

std::vector<Interval> ShardsOf(Interval whole, int shards) {
  CHECK(shards > 0, "{} shards", shards);
  CHECK(whole.begin % kBlock == 0 && whole.end % kBlock == 0, "[{}, {}) is not whole blocks",
        whole.begin, whole.end);
  const size_t blocks = whole.count() / kBlock;
  const size_t n = static_cast<size_t>(shards);
  std::vector<Interval> result;
  size_t begin = whole.begin;
  for (size_t i = 0; i < n; ++i) {
    const size_t end = begin + (blocks / n + (i < blocks % n ? 1 : 0)) * kBlock;
    result.push_back({begin, end});
    begin = end;
  }
  return result;
}

}  // namespace muster::trainer::parallel
