// What one rank asks of another: ranges of files, and the answer to them, a packed run of bytes in
// the same order.
//
// Pure: plain values in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/load_plan.h"

namespace muster::rank {

struct Ask {
  uint64_t from = 0;  // in the file
  uint32_t bytes = 0;
  uint32_t file = 0;  // in the manifest's files

  auto operator<=>(const Ask& other) const {
    return std::pair(file, from) <=> std::pair(other.file, other.from);
  }
  bool operator==(const Ask&) const = default;
};

// Of one asker to one giver.
class Asked {
 public:
  // Cut into asks of at most `most` bytes. In rising order of (file, from).
  void Add(size_t file, const checkpoint::Transfer& transfer, uint64_t most);
  const std::vector<Ask>& asks() const { return asks_; }
  bool complete() const { return next_ == asks_.size(); }

  // Puts the bytes that came where they go; returns how many.
  // Errors: kDataLoss: not whole asks, beyond the last one, or damaged on the way.
  absl::StatusOr<uint64_t> Take(std::span<const std::byte> answer);
  // The next ask's bytes, from memory of this rank.
  void TakeNext(std::span<const std::byte> bytes);

 private:
  std::vector<Ask> asks_;
  std::vector<std::byte*> to_;
  size_t next_ = 0;
};

// An answer: bytes, and at the end their CRC32C. Nothing at all for no bytes.
class Answer {
 public:
  // Memory for so many bytes is taken with the first of them.
  explicit Answer(uint64_t room) : room_(room) {}
  void Add(std::span<const std::byte> bytes);
  uint64_t size() const { return bytes_.size(); }
  std::vector<std::byte> Seal() &&;

 private:
  uint64_t room_ = 0;
  std::vector<std::byte> bytes_;
};

// On the wire: how many bytes may come at a time, then the asks.
std::vector<std::byte> AsksToBytes(uint64_t limit, const std::vector<Ask>& asks);
// Errors: kInvalidArgument: not whole, or not rising.
absl::Status ParseAsks(std::span<const std::byte> bytes, uint64_t* limit, std::vector<Ask>* asks);

}  // namespace muster::rank
