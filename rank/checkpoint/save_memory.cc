#include "rank/checkpoint/save_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "common/status.h"

namespace muster::rank {
namespace {

// Left for everybody else on the machine.
constexpr uint64_t kReserveBytes = 256ull << 20;

}  // namespace

uint64_t AvailableMemory() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  uint64_t kilobytes = 0;
  while (file >> word) {
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

absl::Status CheckAvailable(uint64_t bytes, const char* what) {
  const uint64_t available = AvailableMemory();
  if (available == 0 || bytes + kReserveBytes <= available) return absl::OkStatus();
  return ResourceExhausted(
      "memory for {}: {} MB needed, {} MB available on this machine, {} MB of them kept free; use "
      "more nodes or a smaller model",
      what, bytes >> 20, available >> 20, kReserveBytes >> 20);
}

SaveMemory::~SaveMemory() { Release(); }

void SaveMemory::Release() {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

absl::Status SaveMemory::Reserve(uint64_t bytes) {
  if (bytes <= size_) return absl::OkStatus();
  Release();
  MUSTER_RETURN_IF_ERROR(CheckAvailable(bytes, "a save"));
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return ErrnoError(errno, "memory for a save: map " + std::to_string(bytes) + " bytes");
  ::madvise(data, bytes, MADV_HUGEPAGE);  // a wish
  data_ = static_cast<std::byte*>(data);
  size_ = bytes;
  return absl::OkStatus();
}

}  // namespace muster::rank
