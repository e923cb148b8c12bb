// Questions about a job's mesh: how many ranks, how wide an axis, as text.
//
// Pure; safe for the deciding cores.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job.pb.h"

namespace muster::spec {

// Product of the axis sizes; 1 for an empty mesh. Saturates at 2^32 - 1, so a hostile mesh cannot
// overflow its way past a limit.
uint64_t RankCount(const v1::JobSpec& spec);

// Size of the axis of that name; 1 if the mesh has none.
uint32_t AxisSize(const v1::JobSpec& spec, const std::string& name);

// "data=2,tensor=2", outermost first; the value of MUSTER_MESH. Empty mesh: "".
std::string MeshText(const v1::JobSpec& spec);

// Consecutive ranks that must share a domain of this kind: the product of the axes from the
// outermost one that asks for `within: domain` to the innermost. 1 when none asks.
uint64_t RanksPerGroup(const v1::JobSpec& spec, v1::Domain domain);

}  // namespace muster::spec
