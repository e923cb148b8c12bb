// What a worker serves of its vault to other workers.
//
// A slot on its way keeps one of gRPC's threads busy: there are few at a time, of few nodes.
#pragma once

#include <grpcpp/grpcpp.h>

#include "muster/v1/vault.grpc.pb.h"
#include "worker/vault/intake.h"

namespace muster::worker::rpc {

class VaultService : public v1::Vault::Service {
 public:
  explicit VaultService(vault::Intake& intake) : intake_(intake) {}

  grpc::Status OfferSlot(grpc::ServerContext* context, const v1::OfferSlotRequest* request,
                         v1::OfferSlotResponse* response) override;
  grpc::Status PutSlot(grpc::ServerContext* context, grpc::ServerReader<v1::SlotPart>* reader,
                       v1::PutSlotResponse* response) override;
  grpc::Status ListSlots(grpc::ServerContext* context, const v1::ListSlotsRequest* request,
                         v1::ListSlotsResponse* response) override;
  grpc::Status GetSlot(grpc::ServerContext* context, const v1::GetSlotRequest* request,
                       grpc::ServerWriter<v1::SlotPart>* writer) override;
  grpc::Status OfferChunk(grpc::ServerContext* context, const v1::OfferChunkRequest* request,
                          v1::OfferChunkResponse* response) override;
  grpc::Status PutChunk(grpc::ServerContext* context, grpc::ServerReader<v1::RowPart>* reader,
                        v1::PutChunkResponse* response) override;
  grpc::Status ListRows(grpc::ServerContext* context, const v1::ListRowsRequest* request,
                        v1::ListRowsResponse* response) override;
  grpc::Status GetRow(grpc::ServerContext* context, const v1::GetRowRequest* request,
                      grpc::ServerWriter<v1::RowPart>* writer) override;

 private:
  vault::Intake& intake_;
};

}  // namespace muster::worker::rpc
