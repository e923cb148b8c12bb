#include "rank/checkpoint/storage_health.h"

#include <fmt/format.h>

#include <algorithm>

namespace muster::rank {

void StorageHealth::Tell(uint64_t step, const std::string& text) {
  in_trouble_ = !text.empty();
  if (link_ == nullptr) return;
  const absl::Status told = link_->SaveTrouble(MUSTER_SAVE_STORAGE, step, text);
  if (!told.ok()) console_.problem(std::string(told.message()));
}

void StorageHealth::Failed(uint64_t step, const std::string& line) {
  console_.problem(line);
  if (!in_trouble_) Tell(step, line);
}

void StorageHealth::OnItsWay(uint64_t step, double seconds) {
  if (in_trouble_ || seconds < std::max(kLateSeconds, kLateTimes * longest_seconds_)) return;
  const std::string line = fmt::format(
      "save of step {} is on its way for {:.0f} s; is {} slow, or does it stand still? training "
      "goes on, and so does the save",
      step, seconds, root_);
  console_.problem(line);
  Tell(step, line);
}

void StorageHealth::Committed(uint64_t step, double seconds) {
  if (!in_trouble_) {
    longest_seconds_ = std::max(longest_seconds_, seconds);
    return;
  }
  console_.out(fmt::format("saves reach storage again: step {} is committed", step));
  Tell(step, "");
}

}  // namespace muster::rank
