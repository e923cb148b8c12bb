#include "worker/rpc/vault_messages.h"

#include <algorithm>
#include <utility>

namespace muster::worker::rpc {

v1::SlotHead ToMessage(const vault::SlotHead& head) {
  v1::SlotHead message;
  message.set_job_uid(head.id.job_uid);
  message.set_rank(head.id.rank);
  message.set_second(head.letter == checkpoint::kSlotLetters[1]);
  message.set_world_size(head.id.world_size);
  message.set_step(head.id.step);
  message.set_attempt(head.id.attempt);
  message.set_adopted_by(head.adopted_by);
  message.set_resumes(head.resumes);
  message.set_bytes(head.bytes);
  return message;
}

vault::SlotHead FromMessage(const v1::SlotHead& message) {
  vault::SlotHead head;
  head.id = {message.job_uid(), message.step(), message.attempt(), message.rank(),
             message.world_size()};
  head.letter = checkpoint::kSlotLetters[message.second() ? 1 : 0];
  head.bytes = message.bytes();
  head.adopted_by = message.adopted_by();
  head.resumes = message.resumes();
  return head;
}

bool SendSlotBytes(std::span<const std::byte> bytes, v1::SlotPart first,
                   const std::function<bool(const v1::SlotPart&)>& write) {
  v1::SlotPart part = std::move(first);
  const auto send = [&](uint64_t begin, uint64_t end) {
    for (uint64_t at = begin; at < end; at += kSlotPartBytes) {
      const uint64_t size = std::min(kSlotPartBytes, end - at);
      part.set_offset(at);
      part.set_data(bytes.data() + at, size);
      if (!write(part)) return false;
      part.clear_offer();
    }
    return true;
  };
  return send(0, checkpoint::RamSlot::kWordsBegin) &&
         send(checkpoint::RamSlot::kWordsEnd, bytes.size());
}

}  // namespace muster::worker::rpc
