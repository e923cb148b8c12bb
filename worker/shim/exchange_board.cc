#include "worker/shim/exchange_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/status.h"

namespace muster::worker::shim {
namespace {

void AppendU32(uint32_t value, std::string* out) {
  char bytes[sizeof(value)];
  std::memcpy(bytes, &value, sizeof(value));
  out->append(bytes, sizeof(bytes));
}

bool TakeU32(const std::string& bytes, size_t* at, uint32_t* value) {
  if (bytes.size() - *at < sizeof(*value)) return false;
  std::memcpy(value, bytes.data() + *at, sizeof(*value));
  *at += sizeof(*value);
  return true;
}

}  // namespace

ExchangeBoard::ExchangeBoard(Loop* loop, std::vector<uint32_t> local_ranks, uint32_t world_size,
                             uint32_t nodes, Send send, Reply reply)
    : loop_(loop),
      local_ranks_(std::move(local_ranks)),
      world_size_(world_size),
      nodes_(nodes),
      send_(std::move(send)),
      reply_(std::move(reply)) {}

void ExchangeBoard::Join(const std::string& key, uint32_t participants, std::string blob,
                         Done done) {
  loop_->Post([this, key, participants, blob = std::move(blob), done = std::move(done)]() mutable {
    JoinOnLoop(key, participants, std::move(blob), std::move(done));
  });
}

void ExchangeBoard::JoinOnLoop(const std::string& key, uint32_t participants, std::string blob,
                               Done done) {
  if (participants <= 1) {
    std::vector<std::string> alone;
    alone.push_back(std::move(blob));
    done(std::move(alone));
    return;
  }
  Joining& entry = joining_[key];
  v1::ShimExchange* exchange = entry.message.mutable_exchange();
  exchange->set_key(key);
  exchange->set_participants(participants);
  exchange->set_blob(std::move(blob));
  entry.done = std::move(done);
  send_(entry.message);
}

void ExchangeBoard::FromRank(uint32_t rank, uint32_t id, const std::string& key, std::string blob) {
  std::map<uint32_t, Given>& round = rounds_[key];
  round[rank] = Given{id, std::move(blob)};
  if (round.size() < local_ranks_.size()) return;
  std::string node_blob;
  for (const auto& [number, given] : round) {
    AppendU32(number, &node_blob);
    AppendU32(static_cast<uint32_t>(given.blob.size()), &node_blob);
    node_blob += given.blob;
  }
  std::map<uint32_t, Given> whole = std::move(round);
  rounds_.erase(key);
  const std::string join_key = fmt::format("rank/{}/{}", key, turns_[key]++);
  JoinOnLoop(
      join_key, nodes_, std::move(node_blob),
      [this, whole = std::move(whole)](const absl::StatusOr<std::vector<std::string>>& blobs) {
        ReplyAll(whole, blobs);
      });
}

void ExchangeBoard::ReplyAll(const std::map<uint32_t, Given>& round,
                             const absl::StatusOr<std::vector<std::string>>& node_blobs) {
  const absl::StatusOr<std::string> bytes =
      node_blobs.ok() ? InRankOrder(*node_blobs) : absl::StatusOr<std::string>(node_blobs.status());
  for (const auto& [rank, given] : round) reply_(rank, given.id, bytes);
}

absl::StatusOr<std::string> ExchangeBoard::InRankOrder(
    const std::vector<std::string>& node_blobs) const {
  std::map<uint32_t, std::string> by_rank;
  for (const std::string& blob : node_blobs) {
    for (size_t at = 0; at < blob.size();) {
      uint32_t rank = 0;
      uint32_t size = 0;
      if (!TakeU32(blob, &at, &rank) || !TakeU32(blob, &at, &size) || blob.size() - at < size) {
        return DataLoss("a node's part of the exchange is cut off");
      }
      by_rank[rank] = blob.substr(at, size);
      at += size;
    }
  }
  if (by_rank.size() != world_size_) {
    return DataLoss("the exchange brought {} ranks of {}", by_rank.size(), world_size_);
  }
  std::string bytes;
  for (const auto& [rank, blob] : by_rank) {
    AppendU32(static_cast<uint32_t>(blob.size()), &bytes);
    bytes += blob;
  }
  return bytes;
}

void ExchangeBoard::Result(const v1::ShimExchangeResult& result) {
  const auto found = joining_.find(result.key());
  if (found == joining_.end()) return;  // told twice
  const Done done = std::move(found->second.done);
  joining_.erase(found);
  if (!result.error().empty()) {
    done(Unavailable("exchange {}: {}", result.key(), result.error()));
    return;
  }
  if (IsFirstNode()) {
    v1::ShimToWorker& message = over_.emplace_back();
    message.mutable_exchange_over()->set_key(result.key());
    *message.mutable_exchange_over()->mutable_blobs() = result.blobs();
    send_(message);
  }
  done(std::vector<std::string>(result.blobs().begin(), result.blobs().end()));
}

bool ExchangeBoard::IsFirstNode() const {
  return std::find(local_ranks_.begin(), local_ranks_.end(), 0u) != local_ranks_.end();
}

std::vector<v1::ShimToWorker> ExchangeBoard::ToTellAgain() const {
  std::vector<v1::ShimToWorker> messages = over_;
  for (const auto& [key, entry] : joining_) messages.push_back(entry.message);
  return messages;
}

}  // namespace muster::worker::shim
