// The picture of a replay: goodput and incidents over time, and below what every node did.
#pragma once

#include <string>

#include "sim/replay/report.h"

namespace muster::sim::replay {

// A self-contained SVG. The row's replay must have been run with `picture_bins`.
std::string DrawSvg(const Plan& plan, const Row& row);

}  // namespace muster::sim::replay
