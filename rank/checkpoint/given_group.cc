#include "rank/checkpoint/given_group.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "common/check.h"
#include "common/status.h"

namespace muster::rank {
namespace {

using Bytes = std::vector<std::byte>;

template <typename Number>
Number NumberIn(const Bytes& bytes, size_t index) {
  Number number = 0;
  std::memcpy(&number, bytes.data() + index * sizeof(Number), sizeof(Number));
  return number;
}

}  // namespace

absl::StatusOr<Bytes> GivenGroup::AllGather(std::span<const std::byte> mine) {
  Bytes all(mine.size() * given_.size);
  if (mine.empty()) return all;
  if (const int code = given_.all_gather(given_.context, mine.data(), mine.size(), all.data());
      code != 0) {
    return Unavailable("the program's all_gather of {} bytes per rank returned {}", mine.size(),
                       code);
  }
  return all;
}

absl::Status GivenGroup::AllToAll(const Bytes& send, const std::vector<size_t>& send_bytes,
                                  Bytes* receive, const std::vector<size_t>& receive_bytes) {
  receive->resize(std::accumulate(receive_bytes.begin(), receive_bytes.end(), size_t{0}));
  if (const int code = given_.all_to_all(given_.context, send.data(), send_bytes.data(),
                                         receive->data(), receive_bytes.data());
      code != 0) {
    return Unavailable("the program's all_to_all returned {}", code);
  }
  return absl::OkStatus();
}

absl::Status GivenGroup::Broadcast(std::span<std::byte> data, int root) {
  if (given_.size == 1 || data.empty()) return absl::OkStatus();
  const size_t part = (data.size() + given_.size - 1) / given_.size;
  std::vector<size_t> send_bytes(given_.size, 0);
  std::vector<size_t> receive_bytes(given_.size, 0);
  receive_bytes[static_cast<size_t>(root)] = part;
  Bytes send;
  if (rank() == root) {
    send.assign(data.begin(), data.end());
    send.resize(part * given_.size);
    std::fill(send_bytes.begin(), send_bytes.end(), part);
  }
  Bytes mine;
  MUSTER_RETURN_IF_ERROR(AllToAll(send, send_bytes, &mine, receive_bytes));
  MUSTER_ASSIGN_OR_RETURN(const Bytes all, AllGather(mine));
  std::memcpy(data.data(), all.data(), data.size());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Bytes>> GivenGroup::AllGatherBytes(std::span<const std::byte> data) {
  if (given_.size == 1) return std::vector<Bytes>{Bytes(data.begin(), data.end())};
  const uint64_t length = data.size();
  MUSTER_ASSIGN_OR_RETURN(const Bytes lengths, AllGather(std::as_bytes(std::span(&length, 1))));
  uint64_t longest = 0;
  for (size_t r = 0; r < given_.size; ++r) {
    longest = std::max(longest, NumberIn<uint64_t>(lengths, r));
  }
  Bytes padded(data.begin(), data.end());
  padded.resize(longest);
  MUSTER_ASSIGN_OR_RETURN(const Bytes all, AllGather(padded));
  std::vector<Bytes> blobs;
  for (size_t r = 0; r < given_.size; ++r) {
    const std::byte* begin = all.data() + r * longest;
    blobs.emplace_back(begin, begin + NumberIn<uint64_t>(lengths, r));
  }
  return blobs;
}

absl::StatusOr<std::vector<Bytes>> GivenGroup::AllToAllBytes(const std::vector<Bytes>& to) {
  CHECK(to.size() == given_.size, "{} blobs for {} ranks", to.size(), given_.size);
  if (given_.size == 1) return to;
  std::vector<uint64_t> lengths;
  std::vector<size_t> send_bytes;
  Bytes send;
  for (const Bytes& one : to) {
    lengths.push_back(one.size());
    send_bytes.push_back(one.size());
    send.insert(send.end(), one.begin(), one.end());
  }
  const std::vector<size_t> one_number(given_.size, sizeof(uint64_t));
  const auto lengths_bytes = std::as_bytes(std::span(lengths));
  Bytes lengths_here;
  MUSTER_RETURN_IF_ERROR(AllToAll(Bytes(lengths_bytes.begin(), lengths_bytes.end()), one_number,
                                  &lengths_here, one_number));
  std::vector<size_t> receive_bytes;
  for (size_t r = 0; r < given_.size; ++r) {
    receive_bytes.push_back(NumberIn<uint64_t>(lengths_here, r));
  }
  Bytes receive;
  MUSTER_RETURN_IF_ERROR(AllToAll(send, send_bytes, &receive, receive_bytes));
  std::vector<Bytes> from;
  const std::byte* begin = receive.data();
  for (const size_t bytes : receive_bytes) {
    from.emplace_back(begin, begin + bytes);
    begin += bytes;
  }
  return from;
}

}  // namespace muster::rank
