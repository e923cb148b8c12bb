// One connection to the jobs of a coordinator, with calls that are tried again.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/status.h"
#include "muster/v1/job_service.grpc.pb.h"

namespace muster::bench {

class JobsClient {
 public:
  explicit JobsClient(const std::string& address) : address_(address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // no connection is shared
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
    arguments.SetMaxReceiveMessageSize(64 << 20);
    channel_ = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::JobService::NewStub(channel_);
  }

  // Until there is an answer other than "not now", for a minute at most. Counts the tries.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::JobService::Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, Response*),
                    const Request& request, Response* response) {
    const absl::Time give_up = absl::Now() + absl::Minutes(1);
    while (true) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
      const grpc::Status status = (*stub_.*method)(&context, request, response);
      ++tries_;
      if (status.ok()) return absl::OkStatus();
      const bool later = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
      if (!later || absl::Now() > give_up) {
        return Error(static_cast<absl::StatusCode>(status.error_code()), "call to {}: {}", address_,
                     status.error_message());
      }
      // Whoever waits here also drives the connection; a mere sleep would leave it to a timer
      // of gRPC's that looks every 5 s.
      absl::SleepFor(absl::Milliseconds(5));
      channel_->WaitForConnected(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
    }
  }

  uint64_t tries() const { return tries_; }

 private:
  const std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> stub_;
  uint64_t tries_ = 0;
};

}  // namespace muster::bench
