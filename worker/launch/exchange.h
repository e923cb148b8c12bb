// Joins one blob from each node of an attempt: the bootstrap of MPI and friends.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::worker::launch {

// Threads: Join may be called from any thread; `done` is called once, on any thread.
class Exchange {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<std::string>>)>;

  virtual ~Exchange() = default;

  // Gives this node's blob under `key`; `done` gets the blobs of all `participants` nodes, in an
  // order that is the same on every node. A key is used once in an attempt.
  virtual void Join(const std::string& key, uint32_t participants, std::string blob, Done done) = 0;
};

}  // namespace muster::worker::launch
