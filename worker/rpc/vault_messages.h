// Slots as other nodes are told of them.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/vault.pb.h"
#include "worker/vault/peer_vault.h"

namespace muster::worker::rpc {

// A slot's file is sent in parts of this size; without the bytes that change while it is sealed.
inline constexpr uint64_t kSlotPartBytes = 1u << 20;

v1::SlotHead ToMessage(const vault::SlotHead& head);
vault::SlotHead FromMessage(const v1::SlotHead& message);

// Sends `bytes` part by part; false: the other side has gone, or `goes_on` said no.
bool SendSlotBytes(std::span<const std::byte> bytes, v1::SlotPart first,
                   const std::function<bool(const v1::SlotPart&)>& write);

}  // namespace muster::worker::rpc
