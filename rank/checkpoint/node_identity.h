// Which ranks share a machine and its vault.
#pragma once

#include <cstdint>
#include <string>

namespace muster::rank {

// The same in all processes of one node, and on no other one. `vault`: the job's folder there; "" =
// the node has none. Two workers on one machine, each with a vault of its own, are two nodes.
uint64_t NodeIdentity(const std::string& vault);

}  // namespace muster::rank
