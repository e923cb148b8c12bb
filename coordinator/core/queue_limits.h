// What a queue can never give, however empty the cluster is.
#pragma once

#include <string>

#include "coordinator/core/queue_table.h"

namespace muster::coordinator::core {

// Empty, or "needs 16 slots, queue research may hold at most 8; ...".
std::string WhyNeverInQueue(const Queue& queue, const v1::JobSpec& spec);

}  // namespace muster::coordinator::core
