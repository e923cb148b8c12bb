#include "rank/checkpoint/asked_bytes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checkpoint/digest.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::rank {
namespace {

constexpr size_t kCrcBytes = sizeof(uint32_t);

}  // namespace

void Asked::Add(size_t file, const checkpoint::Transfer& transfer, uint64_t most) {
  for (uint64_t done = 0; done < transfer.bytes;) {
    const uint64_t part = std::min(transfer.bytes - done, most);
    asks_.push_back(
        {transfer.from + done, static_cast<uint32_t>(part), static_cast<uint32_t>(file)});
    to_.push_back(transfer.to + done);
    done += part;
  }
}

absl::StatusOr<uint64_t> Asked::Take(std::span<const std::byte> answer) {
  if (answer.empty()) return uint64_t{0};
  if (answer.size() < kCrcBytes) return DataLoss("an answer of {} bytes", answer.size());
  std::span<const std::byte> bytes = answer.first(answer.size() - kCrcBytes);
  uint32_t crc = 0;
  std::memcpy(&crc, answer.data() + bytes.size(), kCrcBytes);
  if (crc != checkpoint::Crc32c(0, bytes)) {
    return DataLoss("{} bytes were damaged on their way from another rank", bytes.size());
  }
  const uint64_t taken = bytes.size();
  while (!bytes.empty()) {
    if (complete()) return DataLoss("{} bytes came that nobody asked for", bytes.size());
    const Ask& ask = asks_[next_];
    if (bytes.size() < ask.bytes) {
      return DataLoss("{} bytes came of {} asked for", bytes.size(), ask.bytes);
    }
    TakeNext(bytes.first(ask.bytes));
    bytes = bytes.subspan(asks_[next_ - 1].bytes);
  }
  return taken;
}

void Asked::TakeNext(std::span<const std::byte> bytes) {
  CHECK(!complete() && bytes.size() == asks_[next_].bytes, "{} bytes for ask {} of {}",
        bytes.size(), next_, asks_.size());
  std::memcpy(to_[next_], bytes.data(), bytes.size());
  ++next_;
}

void Answer::Add(std::span<const std::byte> bytes) {
  if (bytes_.empty()) bytes_.reserve(room_);
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> Answer::Seal() && {
  if (bytes_.empty()) return {};
  const uint32_t crc = checkpoint::Crc32c(0, bytes_);
  Add(std::as_bytes(std::span(&crc, 1)));
  return std::move(bytes_);
}

std::vector<std::byte> AsksToBytes(uint64_t limit, const std::vector<Ask>& asks) {
  if (asks.empty()) return {};
  std::vector<std::byte> bytes(sizeof(limit) + asks.size() * sizeof(Ask));
  std::memcpy(bytes.data(), &limit, sizeof(limit));
  std::memcpy(bytes.data() + sizeof(limit), asks.data(), asks.size() * sizeof(Ask));
  return bytes;
}

absl::Status ParseAsks(std::span<const std::byte> bytes, uint64_t* limit, std::vector<Ask>* asks) {
  asks->clear();
  if (bytes.empty()) return absl::OkStatus();
  if (bytes.size() < sizeof(*limit) || (bytes.size() - sizeof(*limit)) % sizeof(Ask) != 0) {
    return InvalidArgument("asks of {} bytes", bytes.size());
  }
  std::memcpy(limit, bytes.data(), sizeof(*limit));
  bytes = bytes.subspan(sizeof(*limit));
  asks->resize(bytes.size() / sizeof(Ask));
  std::memcpy(asks->data(), bytes.data(), bytes.size());
  if (!std::is_sorted(asks->begin(), asks->end())) return InvalidArgument("asks out of order");
  return absl::OkStatus();
}

}  // namespace muster::rank
