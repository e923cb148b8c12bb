#include "worker/rpc/vault_service.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

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
  vault::ByteRange range{request->begin(), request->end()};
  if (range.end == 0) range.end = file->bytes().size();
  const bool sent = SendSlotBytes(file->bytes(), range, {}, [&](const v1::SlotPart& part) {
    return !context->IsCancelled() && writer->Write(part);
  });
  return sent ? grpc::Status::OK : grpc::Status::CANCELLED;
}

grpc::Status VaultService::OfferChunk(grpc::ServerContext*, const v1::OfferChunkRequest* request,
                                      v1::OfferChunkResponse* response) {
  const absl::StatusOr<uint64_t> taken = intake_.rows().Offer(FromMessage(*request));
  if (!taken.ok()) return ToGrpc(taken.status());
  response->set_taken(*taken);
  return grpc::Status::OK;
}

grpc::Status VaultService::PutChunk(grpc::ServerContext*, grpc::ServerReader<v1::RowPart>* reader,
                                    v1::PutChunkResponse*) {
  v1::RowPart part;
  if (!reader->Read(&part) || !part.has_offer()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the first part of a chunk says whose it is"};
  }
  const vault::ChunkOffer offer = FromMessage(part.offer());
  do {
    absl::Status taken = CheckData(part);
    if (taken.ok()) {
      taken = intake_.rows().Take(offer, part.offset(), std::as_bytes(std::span(part.data())));
    }
    if (!taken.ok()) return ToGrpc(taken);
  } while (reader->Read(&part));
  return grpc::Status::OK;
}

grpc::Status VaultService::ListRows(grpc::ServerContext*, const v1::ListRowsRequest* request,
                                    v1::ListRowsResponse* response) {
  for (const vault::RowHead& row : intake_.rows().List(request->job_uid())) {
    *response->add_rows() = ToMessage(row);
  }
  return grpc::Status::OK;
}

grpc::Status VaultService::GetRow(grpc::ServerContext* context, const v1::GetRowRequest* request,
                                  grpc::ServerWriter<v1::RowPart>* writer) {
  const absl::StatusOr<vault::RowFile> file = intake_.rows().Open(FromMessage(request->row()));
  if (!file.ok()) return ToGrpc(file.status());
  std::vector<std::byte> bytes;
  v1::RowPart part;
  for (uint64_t at = request->begin(); at < request->end(); at += bytes.size()) {
    bytes.resize(std::min(kSlotPartBytes, request->end() - at));
    if (const absl::Status read = file->ReadAt(at, bytes); !read.ok()) return ToGrpc(read);
    SetData(part, at, bytes);
    if (context->IsCancelled() || !writer->Write(part)) return grpc::Status::CANCELLED;
  }
  return grpc::Status::OK;
}

}  // namespace muster::worker::rpc
