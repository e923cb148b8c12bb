#include "worker/rpc/vault_messages.h"

#include <algorithm>
#include <utility>

#include "checkpoint/digest.h"
#include "common/status.h"

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

namespace {

void SetGroup(const vault::ParityGroup& group,
              google::protobuf::RepeatedPtrField<v1::RankRun>* message) {
  for (const vault::RankRun& run : group) {
    v1::RankRun* to = message->Add();
    to->set_first_rank(run.first_rank);
    to->set_ranks(run.ranks);
  }
}

vault::ParityGroup GroupOf(const google::protobuf::RepeatedPtrField<v1::RankRun>& message) {
  vault::ParityGroup group;
  for (const v1::RankRun& run : message) group.push_back({run.first_rank(), run.ranks()});
  return group;
}

}  // namespace

v1::OfferChunkRequest ToMessage(const vault::ChunkOffer& offer) {
  v1::OfferChunkRequest message;
  *message.mutable_slot() = ToMessage(offer.slot);
  message.set_for_attempt(offer.attempt);
  SetGroup(offer.group, message.mutable_group());
  message.set_holder(offer.holder);
  message.set_beside_attempt(offer.beside_attempt);
  message.set_beside_step(offer.beside_step);
  return message;
}

vault::ChunkOffer FromMessage(const v1::OfferChunkRequest& message) {
  return {.slot = FromMessage(message.slot()),
          .attempt = message.for_attempt(),
          .group = GroupOf(message.group()),
          .holder = message.holder(),
          .beside_attempt = message.beside_attempt(),
          .beside_step = message.beside_step()};
}

v1::RowHead ToMessage(const vault::RowHead& row) {
  v1::RowHead message;
  message.set_job_uid(row.job_uid);
  message.set_place(row.place);
  message.set_second(row.letter == checkpoint::kSlotLetters[1]);
  message.set_attempt(row.attempt);
  message.set_step(row.step);
  SetGroup(row.group, message.mutable_group());
  message.set_holder(row.holder);
  for (const vault::RowChunk& chunk : row.chunks) {
    v1::RowChunk* to = message.add_chunks();
    *to->mutable_slot() = ToMessage(chunk.slot);
    to->set_crc32c(chunk.crc32c);
  }
  return message;
}

vault::RowHead FromMessage(const v1::RowHead& message) {
  vault::RowHead row{.job_uid = message.job_uid(),
                     .place = message.place(),
                     .letter = checkpoint::kSlotLetters[message.second() ? 1 : 0],
                     .attempt = message.attempt(),
                     .step = message.step(),
                     .group = GroupOf(message.group()),
                     .holder = message.holder(),
                     .chunks = {}};
  for (const v1::RowChunk& chunk : message.chunks()) {
    row.chunks.push_back({FromMessage(chunk.slot()), chunk.crc32c()});
  }
  return row;
}

bool SendSlotBytes(std::span<const std::byte> bytes, const vault::ByteRange& range,
                   v1::SlotPart first, const std::function<bool(const v1::SlotPart&)>& write) {
  v1::SlotPart part = std::move(first);
  const uint64_t limit = std::min<uint64_t>(range.end, bytes.size());
  const auto send = [&](uint64_t begin, uint64_t end) {
    end = std::min(end, limit);
    for (uint64_t at = std::max(begin, range.begin); at < end; at += kSlotPartBytes) {
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

void SetData(v1::RowPart& part, uint64_t offset, std::span<const std::byte> data) {
  part.set_offset(offset);
  part.set_data(data.data(), data.size());
  part.set_crc32c(checkpoint::Crc32c(0, data));
}

absl::Status CheckData(const v1::RowPart& part) {
  if (checkpoint::Crc32c(0, std::as_bytes(std::span(part.data()))) == part.crc32c()) {
    return absl::OkStatus();
  }
  return DataLoss("{} bytes of parity at {} were damaged on the way", part.data().size(),
                  part.offset());
}

}  // namespace muster::worker::rpc
