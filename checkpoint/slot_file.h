// The file behind a RAM slot: memory of the node, mapped by whoever needs it.
//
// It lies in a folder of a memory file system (tmpfs), so it outlives every process and is gone
// with the machine's power. `r00005.a` and `r00005.b` are the two slots of rank 5.
//
// Threads: plain value; moving it moves the mapping.
// Owns:    the mapping, never the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/ram_slot.h"

namespace muster::checkpoint {

inline constexpr char kSlotLetters[] = {'a', 'b'};

std::string SlotFileName(uint32_t rank, char letter);  // 5, 'a' → "r00005.a"

struct SlotFileId {
  uint32_t rank = 0;
  char letter = 'a';
};
std::optional<SlotFileId> ParseSlotFileName(std::string_view name);

class SlotFile {
 public:
  SlotFile() = default;
  ~SlotFile();
  SlotFile(SlotFile&& other) noexcept;
  SlotFile& operator=(SlotFile&& other) noexcept;

  // Maps a file of `bytes`, all of it backed by memory, so that no store can fail later. One that
  // is there and of that size keeps its content; any other is made anew, empty.
  // Errors: kResourceExhausted: no room in the folder or in memory; the file is gone then.
  static absl::StatusOr<SlotFile> Reserve(const std::string& path, uint64_t bytes);

  // Maps what is there. Errors: kNotFound; kDataLoss: too short for a slot, or no regular file.
  static absl::StatusOr<SlotFile> Open(const std::string& path);

  RamSlot& slot() { return slot_; }
  const RamSlot& slot() const { return slot_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  bool mapped() const { return data_ != nullptr; }
  // The worker watches its folders for changed times: there is something to do.
  void Nudge() const;

 private:
  static absl::StatusOr<SlotFile> Map(int fd, const std::string& path, uint64_t bytes);
  void Unmap();

  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  RamSlot slot_;
};

}  // namespace muster::checkpoint
