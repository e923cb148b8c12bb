// Gathers what ranks and PMIx want exchanged, joins it with the other nodes through the worker,
// and hands the results back. What is under way is told again to a new worker; on the attempt's
// first node also what is over, for other nodes that do not have it yet.
//
// Threads: Join from any; everything else on the loop's thread, where `done` is called too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/shim.pb.h"
#include "worker/launch/exchange.h"
#include "worker/shim/loop.h"

namespace muster::worker::shim {

class ExchangeBoard : public launch::Exchange {
 public:
  using Send = std::function<void(const v1::ShimToWorker&)>;
  // Bytes for a rank: per rank of the attempt, u32 length and blob.
  using Reply = std::function<void(uint32_t rank, uint32_t id, const absl::StatusOr<std::string>&)>;

  // local_ranks: of this node. send: to the worker, dropped when there is none.
  ExchangeBoard(Loop* loop, std::vector<uint32_t> local_ranks, uint32_t world_size, uint32_t nodes,
                Send send, Reply reply);

  void Join(const std::string& key, uint32_t participants, std::string blob, Done done) override;

  // One rank's blob; its reply comes when every rank of the attempt has given one for this key.
  // Giving again for the same key before that replaces the blob.
  void FromRank(uint32_t rank, uint32_t id, const std::string& key, std::string blob);

  void Result(const v1::ShimExchangeResult& result);
  // For a new worker.
  std::vector<v1::ShimToWorker> ToTellAgain() const;

 private:
  struct Given {
    uint32_t id = 0;
    std::string blob;
  };
  struct Joining {
    v1::ShimToWorker message;
    Done done;
  };
  void JoinOnLoop(const std::string& key, uint32_t participants, std::string blob, Done done);
  void ReplyAll(const std::map<uint32_t, Given>& round,
                const absl::StatusOr<std::vector<std::string>>& node_blobs);
  bool IsFirstNode() const;
  absl::StatusOr<std::string> InRankOrder(const std::vector<std::string>& node_blobs) const;

  Loop* loop_;
  std::vector<uint32_t> local_ranks_;
  uint32_t world_size_;
  uint32_t nodes_;
  Send send_;
  Reply reply_;
  std::map<std::string, std::map<uint32_t, Given>> rounds_;  // by key, by rank
  std::map<std::string, uint64_t> turns_;                    // rounds of a key so far
  std::map<std::string, Joining> joining_;
  std::vector<v1::ShimToWorker> over_;  // on the first node
};

}  // namespace muster::worker::shim
