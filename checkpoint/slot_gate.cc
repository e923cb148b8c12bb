#include "checkpoint/slot_gate.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr char kGateFile[] = ".fetching";
constexpr long kLookAgainNs = 2'000'000;

}  // namespace

SlotGate& SlotGate::operator=(SlotGate&& other) noexcept {
  if (this != &other) {
    Open();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

absl::StatusOr<SlotGate> SlotGate::Close(const std::string& folder) {
  const std::string path = folder + "/" + kGateFile;
  SlotGate gate;
  gate.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (gate.fd_ < 0) return ErrnoError(errno, "make " + path);
  if (::flock(gate.fd_, LOCK_EX | LOCK_NB) == 0) return gate;
  if (errno == EWOULDBLOCK) return absl::AbortedError(folder + ": slots are being fetched already");
  return ErrnoError(errno, "lock " + path);
}

void SlotGate::Open() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool WaitForSlotGate(const std::string& folder, double seconds) {
  const int fd = ::open((folder + "/" + kGateFile).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return true;  // nobody ever fetched here
  int left = static_cast<int>(seconds * 1e9 / kLookAgainNs);
  bool open = false;
  while (!(open = ::flock(fd, LOCK_SH | LOCK_NB) == 0) && left-- > 0) {
    const timespec pause{0, kLookAgainNs};
    ::nanosleep(&pause, nullptr);
  }
  ::close(fd);
  return open;
}

}  // namespace muster::checkpoint
