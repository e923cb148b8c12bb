#include "worker/rpc/vault_service.h"

#include <memory>
#include <string>

#include "common/status.h"
#include "worker/rpc/vault_messages.h"

namespace muster::worker::rpc {
namespace {

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace

grpc::Status VaultService::OfferSlot(grpc::ServerContext*, const v1::OfferSlotRequest* request,
                                     v1::OfferSlotResponse* response) {
  const absl::StatusOr<bool> held =
      intake_.Offer(FromMessage(request->head()), request->for_attempt());
  if (!held.ok()) return ToGrpc(held.status());
  response->set_held(*held);
  return grpc::Status::OK;
}

grpc::Status VaultService::PutSlot(grpc::ServerContext*, grpc::ServerReader<v1::SlotPart>* reader,
                                   v1::PutSlotResponse*) {
  v1::SlotPart part;
  if (!reader->Read(&part) || !part.has_offer()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the first part of a slot says whose it is"};
  }
  auto writing = intake_.Begin(FromMessage(part.offer().head()), part.offer().for_attempt());
  if (!writing.ok()) return ToGrpc(writing.status());
  do {
    const absl::Status written =
        (*writing)->Write(part.offset(), std::as_bytes(std::span(part.data())));
    if (!written.ok()) return ToGrpc(written);
  } while (reader->Read(&part));
  return ToGrpc((*writing)->Seal());
}

grpc::Status VaultService::ListSlots(grpc::ServerContext*, const v1::ListSlotsRequest* request,
                                     v1::ListSlotsResponse* response) {
  for (const vault::SlotHead& head :
       intake_.List(request->job_uid(), request->first_rank(), request->ranks())) {
    *response->add_slots() = ToMessage(head);
  }
  return grpc::Status::OK;
}

grpc::Status VaultService::GetSlot(grpc::ServerContext* context, const v1::GetSlotRequest* request,
                                   grpc::ServerWriter<v1::SlotPart>* writer) {
  const absl::StatusOr<checkpoint::SlotFile> file = intake_.Open(FromMessage(request->head()));
  if (!file.ok()) return ToGrpc(file.status());
  const bool sent = SendSlotBytes(file->bytes(), {}, [&](const v1::SlotPart& part) {
    return !context->IsCancelled() && writer->Write(part);
  });
  return sent ? grpc::Status::OK : grpc::Status::CANCELLED;
}

}  // namespace muster::worker::rpc
