#include "worker/rpc/vault_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "common/status.h"
#include "muster/v1/vault.grpc.pb.h"
#include "worker/rpc/vault_messages.h"
#include "worker/vault/parity_send.h"

namespace muster::worker::rpc {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAskLimit{2'000};
constexpr milliseconds kSendLimit{30'000};  // and as long as this many bytes take:
constexpr uint64_t kBytesPerMs = 10'000;

absl::Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return arguments;
}

void Limit(grpc::ClientContext& context, milliseconds limit) {
  context.set_deadline(std::chrono::system_clock::now() + limit);
}

milliseconds LimitFor(uint64_t bytes) {
  return kSendLimit + milliseconds(static_cast<int64_t>(bytes / kBytesPerMs));
}

class VaultClient : public vault::PeerVault {
 public:
  explicit VaultClient(const std::string& address)
      : stub_(v1::Vault::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Arguments()))) {}

  absl::StatusOr<bool> Offer(const vault::SlotHead& head, uint64_t attempt) override {
    grpc::ClientContext context;
    Limit(context, kAskLimit);
    v1::OfferSlotRequest request;
    *request.mutable_head() = ToMessage(head);
    request.set_for_attempt(attempt);
    v1::OfferSlotResponse response;
    MUSTER_RETURN_IF_ERROR(ToStatus(stub_->OfferSlot(&context, request, &response)));
    return response.held();
  }

  absl::Status Put(const vault::SlotHead& head, uint64_t attempt, const checkpoint::SlotFile& file,
                   const std::function<bool()>& goes_on) override {
    grpc::ClientContext context;
    Limit(context, LimitFor(head.bytes));
    v1::PutSlotResponse response;
    const auto writer = stub_->PutSlot(&context, &response);
    v1::SlotPart first;
    *first.mutable_offer()->mutable_head() = ToMessage(head);
    first.mutable_offer()->set_for_attempt(attempt);
    bool told_to_stop = false;
    const bool sent = SendSlotBytes(file.bytes(), {0, head.bytes}, std::move(first),
                                    [&](const v1::SlotPart& part) {
                                      told_to_stop = !goes_on();
                                      return !told_to_stop && writer->Write(part);
                                    });
    if (sent) writer->WritesDone();
    if (told_to_stop) context.TryCancel();
    const grpc::Status status = writer->Finish();
    if (told_to_stop) return absl::CancelledError("the copy was told to stop");
    return ToStatus(status);
  }

  absl::StatusOr<std::vector<vault::SlotHead>> List(const std::string& job_uid, uint32_t first_rank,
                                                    uint32_t ranks) override {
    grpc::ClientContext context;
    Limit(context, kAskLimit);
    v1::ListSlotsRequest request;
    request.set_job_uid(job_uid);
    request.set_first_rank(first_rank);
    request.set_ranks(ranks);
    v1::ListSlotsResponse response;
    MUSTER_RETURN_IF_ERROR(ToStatus(stub_->ListSlots(&context, request, &response)));
    std::vector<vault::SlotHead> heads;
    for (const v1::SlotHead& head : response.slots()) heads.push_back(FromMessage(head));
    return heads;
  }

  absl::Status Get(const vault::SlotHead& head, const vault::ByteRange& range,
                   const vault::SlotSink& sink) override {
    grpc::ClientContext context;
    Limit(context, LimitFor(range.size()));
    v1::GetSlotRequest request;
    *request.mutable_head() = ToMessage(head);
    request.set_begin(range.begin);
    request.set_end(range.end);
    const auto reader = stub_->GetSlot(&context, request);
    v1::SlotPart part;
    absl::Status taken;
    while (taken.ok() && reader->Read(&part)) {
      taken = sink(part.offset(), std::as_bytes(std::span(part.data())));
    }
    if (!taken.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    return taken.ok() ? ToStatus(status) : taken;
  }

  absl::StatusOr<uint64_t> OfferChunk(const vault::ChunkOffer& offer) override {
    grpc::ClientContext context;
    Limit(context, kAskLimit);
    v1::OfferChunkResponse response;
    MUSTER_RETURN_IF_ERROR(ToStatus(stub_->OfferChunk(&context, ToMessage(offer), &response)));
    return response.taken();
  }

  absl::Status PutChunk(const vault::ChunkOffer& offer, uint64_t from,
                        const checkpoint::SlotFile& file,
                        const std::function<bool()>& goes_on) override {
    const vault::ByteRange chunk = offer.chunk();
    grpc::ClientContext context;
    Limit(context, LimitFor(chunk.size()));
    v1::PutChunkResponse response;
    const auto writer = stub_->PutChunk(&context, &response);
    v1::RowPart part;
    *part.mutable_offer() = ToMessage(offer);
    const absl::Status sent =
        vault::ForEachPart(file.bytes(), {chunk.begin + from, chunk.end}, kSlotPartBytes,
                           [&](uint64_t at, std::span<const std::byte> data) {
                             if (!goes_on())
                               return absl::CancelledError("the chunk was told to stop");
                             SetData(part, at - chunk.begin, data);
                             if (!writer->Write(part))
                               return absl::UnavailableError("the other side has gone");
                             part.clear_offer();
                             return absl::OkStatus();
                           });
    if (sent.ok()) writer->WritesDone();
    if (absl::IsCancelled(sent)) context.TryCancel();
    const grpc::Status status = writer->Finish();
    return absl::IsCancelled(sent) || status.ok() ? sent : ToStatus(status);
  }

  absl::StatusOr<std::vector<vault::RowHead>> ListRows(const std::string& job_uid) override {
    grpc::ClientContext context;
    Limit(context, kAskLimit);
    v1::ListRowsRequest request;
    request.set_job_uid(job_uid);
    v1::ListRowsResponse response;
    MUSTER_RETURN_IF_ERROR(ToStatus(stub_->ListRows(&context, request, &response)));
    std::vector<vault::RowHead> rows;
    for (const v1::RowHead& row : response.rows()) rows.push_back(FromMessage(row));
    return rows;
  }

  absl::Status GetRow(const vault::RowHead& row, const vault::ByteRange& range,
                      const vault::SlotSink& sink) override {
    grpc::ClientContext context;
    Limit(context, LimitFor(range.size()));
    v1::GetRowRequest request;
    v1::RowHead& head = *request.mutable_row();
    head = ToMessage(row);
    head.clear_chunks();
    head.clear_group();
    request.set_begin(range.begin);
    request.set_end(range.end);
    const auto reader = stub_->GetRow(&context, request);
    v1::RowPart part;
    absl::Status taken;
    while (taken.ok() && reader->Read(&part)) {
      taken = CheckData(part);
      if (taken.ok()) taken = sink(part.offset(), std::as_bytes(std::span(part.data())));
    }
    if (!taken.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    return taken.ok() ? ToStatus(status) : taken;
  }

 private:
  const std::unique_ptr<v1::Vault::Stub> stub_;
};

}  // namespace

std::unique_ptr<vault::PeerVault> DialVault(const std::string& address) {
  return std::make_unique<VaultClient>(address);
}

}  // namespace muster::worker::rpc
