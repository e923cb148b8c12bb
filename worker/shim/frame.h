// Messages on the shim's socket: u32 little-endian length, then the message.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"

namespace muster::worker::shim {

inline constexpr size_t kFrameBytesMax = 512u << 20;

// Appends one frame to `out`.
void AppendFrame(const google::protobuf::MessageLite& message, std::string* out);

// Cuts a stream into frames.
//
// Threads: none.
class FrameReader {
 public:
  void Add(const char* bytes, size_t size) { buffer_.append(bytes, size); }

  // The next whole frame's body, nothing when more bytes are needed, or kDataLoss for a length
  // that cannot be: the stream is then useless.
  absl::StatusOr<std::optional<std::string>> Next();

 private:
  std::string buffer_;
  size_t begin_ = 0;
};

}  // namespace muster::worker::shim
