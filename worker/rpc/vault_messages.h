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

v1::OfferChunkRequest ToMessage(const vault::ChunkOffer& offer);
vault::ChunkOffer FromMessage(const v1::OfferChunkRequest& message);
v1::RowHead ToMessage(const vault::RowHead& row);
vault::RowHead FromMessage(const v1::RowHead& message);

// Sends what is in `range` of `bytes` part by part; false: the other side has gone, or `goes_on`
// said no.
bool SendSlotBytes(std::span<const std::byte> bytes, const vault::ByteRange& range,
                   v1::SlotPart first, const std::function<bool(const v1::SlotPart&)>& write);

// Its bytes, with their checksum.
void SetData(v1::RowPart& part, uint64_t offset, std::span<const std::byte> data);
// Errors: kDataLoss: not what was sent.
absl::Status CheckData(const v1::RowPart& part);

}  // namespace muster::worker::rpc
