// Queues as text for people.
#pragma once

#include <string>

#include "muster/v1/queue.pb.h"

namespace muster::cli {

std::string QueueTable(const v1::ListQueuesResponse& queues, bool wide);

// All about one queue, several lines.
std::string QueueDescription(const v1::Queue& queue);

// "weight 2, priority 1, quota 64, limit 96, at most 16 a user": its rules on one line.
std::string QueueRules(const v1::QueueSpec& spec);

}  // namespace muster::cli
