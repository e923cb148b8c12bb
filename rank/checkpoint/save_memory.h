// Memory for the image of a shard: page-aligned, on huge pages where the system gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"

namespace muster::rank {

class SaveMemory {
 public:
  SaveMemory() = default;
  ~SaveMemory();
  SaveMemory(const SaveMemory&) = delete;
  SaveMemory& operator=(const SaveMemory&) = delete;

  // At least `bytes` from here on. Errors: kResourceExhausted when the machine has not that much
  // memory left, and then nothing is held: being killed for memory would cost more than a save.
  absl::Status Reserve(uint64_t bytes);
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  void Release();

  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Errors: kResourceExhausted when taking `bytes` for `what` would leave the machine without memory.
absl::Status CheckAvailable(uint64_t bytes, const char* what);

// What the kernel thinks can be had without swapping, in bytes; 0 when it does not say.
uint64_t AvailableMemory();

}  // namespace muster::rank
