#include "checkpoint/batches.h"

#include <algorithm>

#include "checkpoint/load.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::checkpoint {

std::vector<std::vector<Box>> CutIntoBatches(std::span<const Box> wanted, uint64_t bytes_max) {
  CHECK(bytes_max > 0, "batches of no bytes");
  std::vector<std::vector<Box>> batches;
  uint64_t room = 0;
  auto add = [&](Box box) {
    const uint64_t bytes = ByteCount(box);
    if (batches.empty() || bytes > room) {
      batches.emplace_back();
      room = std::max(bytes_max, bytes);
    }
    room -= bytes;
    batches.back().push_back(std::move(box));
  };
  for (const Box& box : wanted) {
    if (ByteCount(box) <= bytes_max) {
      add(box);
      continue;
    }
    const uint64_t all = ElementCount(box);
    const uint64_t step = std::max<uint64_t>(bytes_max / DTypeBytes(box.dtype), 1);
    for (uint64_t begin = 0; begin < all; begin += step) {
      for (Box& part : FlatRange(box, begin, std::min(begin + step, all))) add(std::move(part));
    }
  }
  return batches;
}

absl::Status ForEachBatch(const std::string& folder, const Manifest& manifest,
                          std::span<const Box> wanted, uint64_t bytes_max,
                          const std::function<absl::Status(std::span<const LoadedBox>)>& use,
                          FileSystem& files) {
  std::vector<std::byte> memory;
  for (const std::vector<Box>& batch : CutIntoBatches(wanted, bytes_max)) {
    uint64_t bytes = 0;
    for (const Box& box : batch) bytes += ByteCount(box);
    if (memory.size() < bytes) memory.resize(bytes);
    std::vector<Request> requests;
    std::vector<LoadedBox> loaded;
    uint64_t at = 0;
    for (const Box& box : batch) {
      const std::span<std::byte> part = std::span(memory).subspan(at, ByteCount(box));
      requests.push_back({box, part});
      loaded.push_back({&box, part});
      at += part.size();
    }
    MUSTER_RETURN_IF_ERROR(Load(folder, manifest, requests, files).status());
    MUSTER_RETURN_IF_ERROR(use(loaded));
  }
  return absl::OkStatus();
}

}  // namespace muster::checkpoint
