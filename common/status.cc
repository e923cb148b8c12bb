#include "common/status.h"

#include <cerrno>
#include <system_error>

namespace muster {

absl::Status ErrnoError(int error, const std::string& what) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      code = absl::StatusCode::kNotFound;
      break;
    case EEXIST:
      code = absl::StatusCode::kAlreadyExists;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = absl::StatusCode::kPermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      code = absl::StatusCode::kResourceExhausted;
      break;
    case EADDRINUSE:
      code = absl::StatusCode::kFailedPrecondition;
      break;
    case ECONNREFUSED:
    case EAGAIN:
    case EPIPE:
    case ECONNRESET:
      code = absl::StatusCode::kUnavailable;
      break;
    case EIO:
      code = absl::StatusCode::kDataLoss;
      break;
    default:
      break;
  }
  return absl::Status(code, fmt::format("{}: {}", what, std::generic_category().message(error)));
}

absl::Status Annotate(const absl::Status& status, const std::string& what) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", what, std::string(status.message())));
}

}  // namespace muster
