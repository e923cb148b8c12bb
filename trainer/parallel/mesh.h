// A job's named axes, outermost first, and each rank's place on them.
//
// Ranks are numbered row-major: the last axis moves fastest. An axis that is not in the mesh has
// size 1.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::trainer::parallel {

struct Axis {
  std::string name;
  int size = 1;
};

class Mesh {
 public:
  Mesh() = default;

  // "data=2,tensor=2", as in MUSTER_MESH. Axes: data, tensor; each at most once, sizes ≥ 1.
  static absl::StatusOr<Mesh> Parse(std::string_view text);

  const std::vector<Axis>& axes() const { return axes_; }
  int ranks() const;
  int Size(std::string_view axis) const;

  // Where `rank` stands on `axis`.
  int Coordinate(int rank, std::string_view axis) const;

  // Ranks that differ only on `axis` have the same color; ordered by rank they stand in the order
  // of their coordinate. For Collective::Split.
  int GroupColor(int rank, std::string_view axis) const;

  std::string ToString() const;  // what Parse reads

 private:
  int Stride(std::string_view axis) const;
  std::vector<Axis> axes_;
};

}  // namespace muster::trainer::parallel
