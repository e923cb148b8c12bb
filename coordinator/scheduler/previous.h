// Puts a gang back where it was, as far as that is still free.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/scheduler/node_rules.h"
#include "coordinator/scheduler/place.h"

namespace muster::coordinator::scheduler {

// With more lost shares than these the gang is placed afresh: it moved anyway.
constexpr size_t kReplacedMost = 256;

// Every rank on its previous slots, or nullopt.
std::optional<std::vector<v1::NodeShare>> PlaceAsBefore(const Gang& gang,
                                                        const Inventory& inventory,
                                                        const NodeRules& rules);

// Shares whose slots are free stay; each other one goes to a node that holds it whole: a spare of
// the job first, then the closest to the lost node, then the tightest. nullopt when there is none,
// or when no share stays.
std::optional<std::vector<v1::NodeShare>> PlaceWithReplacements(const Gang& gang,
                                                                const Inventory& inventory,
                                                                const NodeRules& rules);

// True when these shares hold every rank once, in order, and keep blocks and parts together and
// spread as the shape says.
bool KeepsShape(const Shape& shape, const Inventory& inventory,
                const std::vector<v1::NodeShare>& shares);

}  // namespace muster::coordinator::scheduler
