#include "worker/shim/frame.h"

#include <cstdint>
#include <cstring>

#include "common/check.h"
#include "common/status.h"

namespace muster::worker::shim {

void AppendFrame(const google::protobuf::MessageLite& message, std::string* out) {
  const size_t size = message.ByteSizeLong();
  CHECK(size <= kFrameBytesMax, "a message of {} bytes to a shim", size);
  const auto length = static_cast<uint32_t>(size);
  char bytes[sizeof(length)];
  std::memcpy(bytes, &length, sizeof(length));
  out->append(bytes, sizeof(bytes));
  message.AppendToString(out);
}

absl::StatusOr<std::optional<std::string>> FrameReader::Next() {
  uint32_t length = 0;
  const size_t left = buffer_.size() - begin_;
  if (left >= sizeof(length)) {
    std::memcpy(&length, buffer_.data() + begin_, sizeof(length));
    if (length > kFrameBytesMax) {
      return DataLoss("shim socket: a message of {} bytes; the other side is not of this release",
                      length);
    }
    if (left >= sizeof(length) + length) {
      std::string body = buffer_.substr(begin_ + sizeof(length), length);
      begin_ += sizeof(length) + length;
      return std::optional<std::string>(std::move(body));
    }
  }
  buffer_.erase(0, begin_);
  begin_ = 0;
  return std::optional<std::string>();
}

}  // namespace muster::worker::shim
