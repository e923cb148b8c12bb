#include "worker/vault/drainer.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "checkpoint/slot_file.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;

bool NobodyWaits(const checkpoint::RamSlot& slot) {
  return (slot.marks() & checkpoint::kSlotDrainGivenUp) != 0;
}

}  // namespace

void ClearHolds(const std::string& folder) {
  for (const std::string& path : SlotsIn(folder)) {
    absl::StatusOr<SlotFile> file = SlotFile::Open(path);
    if (!file.ok()) continue;
    file->slot().Release(checkpoint::kHeldByDrain);
    file->slot().Release(checkpoint::kHeldByReplication);
  }
}

absl::Status Drainer::Start() {
  return watch_.Start([this](const std::string& path) { LookAt(path); });
}

void Drainer::LookAt(const std::string& path) {
  absl::StatusOr<SlotFile> file = SlotFile::Open(path);
  if (!file.ok() || !file->slot().awaits_drain()) return;
  checkpoint::RamSlot& slot = file->slot();
  if (!slot.Hold(checkpoint::kHeldByDrain)) return;
  if (!slot.awaits_drain()) return slot.Release(checkpoint::kHeldByDrain);  // given up meanwhile
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const absl::StatusOr<Drained> drained = DrainSlot(*file, options_, [&] {
    return !watch_.ending() && !NobodyWaits(slot) && watch_.Watches(folder);
  });
  if (drained.ok()) {
    slot.Mark(checkpoint::kSlotPersisted);
    spdlog::info("{}: step {}, {} MB written in {:.2f} s{}", path, slot.step(),
                 drained->bytes >> 20, drained->seconds,
                 drained->direct ? "" : ", through the page cache");
  } else if (absl::IsCancelled(drained.status())) {
    spdlog::info("{}: step {} is not written any further", path, slot.step());
  } else {
    spdlog::warn("{}: {}", path, std::string(drained.status().message()));
    slot.GiveUpDrain(drained.status());
  }
  slot.Release(checkpoint::kHeldByDrain);
}

}  // namespace muster::worker::vault
