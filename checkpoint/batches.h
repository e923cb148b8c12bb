// Reads much of a checkpoint in batches of bounded size, so that memory stays small however large
// the tensors are.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/box.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"

namespace muster::checkpoint {

inline constexpr uint64_t kBatchBytes = 256ull << 20;

// `wanted` cut into batches of at most `bytes_max` (one element at least): boxes in the order
// given, each as it is or, when it is too large, as flat ranges of it in row-major order.
std::vector<std::vector<Box>> CutIntoBatches(std::span<const Box> wanted, uint64_t bytes_max);

struct LoadedBox {
  const Box* box = nullptr;
  std::span<const std::byte> bytes;  // until the call returns
};

// Loads the batches one after the other and hands each over; every byte is checked before. An
// error of `use` ends it.
absl::Status ForEachBatch(const std::string& folder, const Manifest& manifest,
                          std::span<const Box> wanted, uint64_t bytes_max,
                          const std::function<absl::Status(std::span<const LoadedBox>)>& use,
                          FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
