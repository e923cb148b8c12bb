// Another worker's vault over gRPC.
#pragma once

#include <memory>
#include <string>

#include "worker/vault/peer_vault.h"

namespace muster::worker::rpc {

// Connects with the first call. A node that says nothing for 2 s counts as gone (kUnavailable).
std::unique_ptr<vault::PeerVault> DialVault(const std::string& address);

}  // namespace muster::worker::rpc
