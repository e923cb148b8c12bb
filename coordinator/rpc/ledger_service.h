// LedgerService over the mailbox: checks lengths, decides nothing.
//
// Threads: gRPC's. Every method returns at once; the answer comes from the courier's thread.
#pragma once

#include "coordinator/rpc/mailbox.h"
#include "muster/v1/ledger.grpc.pb.h"

namespace muster::coordinator::rpc {

class LedgerService final : public v1::LedgerService::CallbackService {
 public:
  explicit LedgerService(Mailbox* mailbox);

  grpc::ServerUnaryReactor* GetLedger(grpc::CallbackServerContext* context,
                                      const v1::GetLedgerRequest* request,
                                      v1::GetLedgerResponse* response) override;

 private:
  Mailbox* const mailbox_;
};

}  // namespace muster::coordinator::rpc
