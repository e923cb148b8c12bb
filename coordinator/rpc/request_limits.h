// How large the free texts of a request may be, checked once at the edge.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "common/status.h"

namespace muster::coordinator::rpc {

inline constexpr size_t kRequestIdBytesMax = 128;
inline constexpr size_t kTextBytesMax = 1'024;  // reasons, users, names
inline constexpr size_t kJobSpecBytesMax = size_t{256} * 1'024;

inline absl::Status CheckLength(const char* field, const std::string& value, size_t bytes_max) {
  if (value.size() <= bytes_max) return absl::OkStatus();
  return InvalidArgument("{} has {} bytes; at most {} are allowed", field, value.size(), bytes_max);
}

}  // namespace muster::coordinator::rpc
