#include "rank/checkpoint/agree.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/strings/cord.h"
#include "common/status.h"

namespace muster::rank {
namespace {

constexpr char kAgreed[] = "muster/agreed";

std::string ToText(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

absl::Status Agree(Group& group, const absl::Status& mine) {
  std::string text;
  if (!mine.ok()) {
    text = std::string(1, static_cast<char>(mine.code())) + std::string(mine.message());
  }
  MUSTER_ASSIGN_OR_RETURN(std::vector<std::vector<std::byte>> all,
                          group.AllGatherBytes(Bytes(text)));
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].empty()) continue;
    const std::string said = ToText(all[r]);
    const auto code = static_cast<absl::StatusCode>(said[0]);
    absl::Status status(
        code, group.size() == 1 ? said.substr(1) : fmt::format("rank {}: {}", r, said.substr(1)));
    status.SetPayload(kAgreed, absl::Cord());
    return status;
  }
  return absl::OkStatus();
}

bool SaidByAll(const absl::Status& status) { return status.GetPayload(kAgreed).has_value(); }

absl::StatusOr<std::string> FromFirst(Group& group, const std::string& text) {
  uint64_t size = text.size();
  MUSTER_RETURN_IF_ERROR(group.Broadcast(std::as_writable_bytes(std::span(&size, 1)), 0));
  std::string result = group.first() ? text : std::string(size, '\0');
  MUSTER_RETURN_IF_ERROR(
      group.Broadcast(std::as_writable_bytes(std::span(result.data(), result.size())), 0));
  return result;
}

}  // namespace muster::rank
