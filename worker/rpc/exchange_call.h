// This node's side of an exchange: gives the blob to the worker that holds the attempt's first
// rank, and waits for everybody's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/peer.pb.h"
#include "worker/rpc/exchange_board.h"

namespace muster::worker::rpc {

inline constexpr int64_t kExchangeLimitMs = 60'000;

// Asks the worker at `address`, again and again while it does not know the attempt yet or cannot
// be reached, for `limit_ms` at most. The answer comes once, on any thread.
void CallExchange(const std::string& address, v1::ExchangeRequest request,
                  ExchangeBoard::Answer answer, int64_t limit_ms = kExchangeLimitMs);

// The same when this worker is the one.
void JoinExchangeHere(std::shared_ptr<ExchangeBoard> board, const v1::ExchangeRequest& request,
                      ExchangeBoard::Answer answer, int64_t limit_ms = kExchangeLimitMs);

}  // namespace muster::worker::rpc
