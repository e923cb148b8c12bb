// CheckTiling: a sweep along the axis that separates the boxes best.
#include <algorithm>
#include <set>

#include "checkpoint/box.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

bool Overlap(const Box& a, const Box& b) {
  for (size_t axis = 0; axis < a.shape.size(); ++axis) {
    if (a.offset[axis] + a.extent[axis] <= b.offset[axis]) return false;
    if (b.offset[axis] + b.extent[axis] <= a.offset[axis]) return false;
  }
  return true;
}

size_t SweepAxis(const std::vector<const Box*>& boxes, size_t axes) {
  size_t best = 0, most = 0;
  for (size_t axis = 0; axis < axes; ++axis) {
    std::set<uint64_t> begins;
    for (const Box* box : boxes) begins.insert(box->offset[axis]);
    if (begins.size() > most) {
      most = begins.size();
      best = axis;
    }
  }
  return best;
}

}  // namespace

absl::Status CheckTiling(std::span<const Box> boxes) {
  if (boxes.empty()) return InvalidArgument("a tensor without boxes");
  const Box& first = boxes[0];
  std::vector<const Box*> filled;
  uint64_t covered = 0;
  for (const Box& box : boxes) {
    MUSTER_RETURN_IF_ERROR(ValidateBox(box));
    if (box.tensor != first.tensor || box.dtype != first.dtype || box.shape != first.shape) {
      return InvalidArgument("{} and {} are not of one tensor", BoxText(first), BoxText(box));
    }
    if (IsEmpty(box)) continue;
    filled.push_back(&box);
    // Cannot wrap for as long as nothing overlaps, and any overlap is an error below.
    covered += ElementCount(box);
  }
  const size_t axes = first.shape.size();
  if (axes == 0 && filled.size() > 1) {
    return InvalidArgument("{}: the scalar is there {} times", first.tensor, filled.size());
  }
  if (axes > 0 && filled.size() > 1) {
    const size_t axis = SweepAxis(filled, axes);
    std::sort(filled.begin(), filled.end(),
              [axis](const Box* a, const Box* b) { return a->offset[axis] < b->offset[axis]; });
    std::vector<const Box*> active;
    for (const Box* box : filled) {
      std::erase_if(active, [&](const Box* old) {
        return old->offset[axis] + old->extent[axis] <= box->offset[axis];
      });
      for (const Box* old : active) {
        if (Overlap(*old, *box)) {
          return InvalidArgument("{} and {} overlap", BoxText(*old), BoxText(*box));
        }
      }
      active.push_back(box);
    }
  }
  const uint64_t total = ElementCount(WholeTensor(first.tensor, first.dtype, first.shape));
  if (covered != total) {
    return InvalidArgument("{}: {} of {} elements are in no box", first.tensor, total - covered,
                           total);
  }
  return absl::OkStatus();
}

}  // namespace muster::checkpoint
