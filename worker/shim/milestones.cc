#include "worker/shim/milestones.h"

namespace muster::worker::shim {

bool Milestones::Take(const v1::Progress& progress) {
  const uint32_t before = reached_;
  if (progress.updates() > 0) {
    silent_looks_ = 0;
  } else if (silent_looks_ < kSilentLooksMax) {
    ++silent_looks_;
  }
  if (progress.step() > progress.first_step()) {
    reached_ = progress.step() >= stood_step_ ? 2 : reached_ == 0 ? 1 : reached_;
  }
  return reached_ > before;
}

}  // namespace muster::worker::shim
