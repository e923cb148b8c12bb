#include "worker/preflight/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "common/status.h"

namespace muster::worker::preflight {
namespace {

uint64_t WordAt(uint64_t place, uint64_t flip) {
  uint64_t word = place * 0x9e3779b97f4a7c15;
  word ^= word >> 29;
  return word ^ flip;
}

absl::Status FillAndCheck(volatile uint64_t* words, uint64_t count, uint64_t flip) {
  for (uint64_t i = 0; i < count; ++i) words[i] = WordAt(i, flip);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t got = words[i];
    if (got == WordAt(i, flip)) continue;
    return DataLoss("memory: byte {} of the block reads {:016x}, not {:016x} (bits {:016x})",
                    i * sizeof(uint64_t), got, WordAt(i, flip), got ^ WordAt(i, flip));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<double> TestMemory(const MemoryOptions& options) {
  const uint64_t count = std::max<uint64_t>(1, options.bytes / sizeof(uint64_t));
  const size_t bytes = count * sizeof(uint64_t);
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) {
    return Error(absl::StatusCode::kResourceExhausted, "memory: no block of {} bytes", bytes);
  }
  const absl::Time begin = absl::Now();
  uint64_t passes = 0;
  absl::Status status;
  do {
    const uint64_t flip = passes % 2 == 0 ? 0 : ~uint64_t{0};
    status = FillAndCheck(static_cast<uint64_t*>(block), count, flip);
    ++passes;
  } while (status.ok() && (passes < 2 || absl::Now() < begin + options.span));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  munmap(block, bytes);
  MUSTER_RETURN_IF_ERROR(status);
  return 2 * static_cast<double>(passes) * static_cast<double>(bytes) / seconds;
}

uint64_t BytesToTest(double share, uint64_t most) {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  uint64_t kilobytes = 0;
  while (file >> name >> kilobytes && std::getline(file, unit)) {
    if (name != "MemAvailable:") continue;
    return std::min(most, static_cast<uint64_t>(share * static_cast<double>(kilobytes) * 1024));
  }
  return 0;
}

}  // namespace muster::worker::preflight
