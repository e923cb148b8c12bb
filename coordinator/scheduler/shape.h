// What a gang asks of the nodes under it, computed once per job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster::coordinator::scheduler {

// Ranks come in blocks of consecutive ones that share a domain. Blocks nest: those of a node lie
// inside those of an nvlink segment, a rack, a pod. A level nobody asks for has block 1 (no
// constraint of its own).
struct Shape {
  uint32_t ranks = 1;
  uint32_t slots_per_rank = 1;
  uint32_t node_block = 1;  // consecutive ranks that must share a node
  uint32_t nvlink_block = 1;
  uint32_t rack_block = 1;
  uint32_t pod_block = 1;
  std::string node_axis;  // the outermost axis that asked; empty = none. Same for the others
  std::string nvlink_axis;
  std::string rack_axis;
  std::string pod_axis;
  bool exclusive = false;
  // Spread: the gang is divided into `spread_parts` equal runs of consecutive ranks, and these
  // over domains of kind `spread_across`.
  uint32_t spread_parts = 1;
  v1::Domain spread_across = v1::DOMAIN_UNSPECIFIED;
  uint32_t spread_at_least = 0;
  std::string spread_axis;
  // Whole nodes kept beside it: a count, or a share of its nodes, rounded up; the larger of both.
  uint32_t spares = 0;
  double spare_share = 0;
  bool lend_spares = false;

  uint64_t slots() const { return uint64_t{ranks} * slots_per_rank; }
  // Spares beside a gang on that many nodes.
  uint32_t SparesFor(size_t nodes) const;
};

Shape ShapeOf(const v1::JobSpec& spec);

// The shape of a job with a shorter data axis.
struct ShorterShape {
  uint32_t data = 0;  // its size
  Shape shape;
};

// Jobs of equal class are placed alike: same shape and same rules about nodes. If one does not
// fit, no other of its class does, but for jobs that have spares of their own. A text, for use as a
// key.
std::string PlacementClass(const v1::JobSpec& spec);

}  // namespace muster::coordinator::scheduler
