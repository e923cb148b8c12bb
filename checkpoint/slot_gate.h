// Keeps a job's ranks from looking for their slots while their worker still brings some from other
// nodes: a lock on a file of the job's folder. It opens with the process that closed it, so a
// worker that dies keeps nobody waiting.
//
// Threads: plain value.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace muster::checkpoint {

class SlotGate {
 public:
  SlotGate() = default;  // open
  ~SlotGate() { Open(); }
  SlotGate(SlotGate&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SlotGate& operator=(SlotGate&& other) noexcept;

  // Errors: kAborted: it is closed already; else what the folder said.
  static absl::StatusOr<SlotGate> Close(const std::string& folder);
  void Open();

 private:
  int fd_ = -1;
};

// Until the folder's gate is open, at most `seconds`. True: it is.
bool WaitForSlotGate(const std::string& folder, double seconds);

}  // namespace muster::checkpoint
