// Brings to storage what the ranks of this node seal for it.
//
// A rank that sealed a slot to be drained nudges the slot's file; the drainer hears of it, writes
// the shard and marks the slot persisted, or given up with the reason. What an earlier life of the
// worker left undone is done first. One shard at a time.
//
// Threads: one of its own. All functions from one thread; the destructor ends the drain under way,
//          and the next life begins it anew.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "worker/vault/drain.h"
#include "worker/vault/slot_watch.h"

namespace muster::worker::vault {

class Drainer {
 public:
  explicit Drainer(const DrainOptions& options) : options_(options) {}

  absl::Status Start();
  // A job's folder of the vault; what is in it already is looked at too.
  void Watch(const std::string& folder) { watch_.Watch(folder); }
  void Forget(const std::string& folder) { watch_.Forget(folder); }

 private:
  void LookAt(const std::string& path);

  const DrainOptions options_;
  SlotWatch watch_;  // the last: it ends before what it uses
};

// Ends what an earlier life of the worker was reading: its holds are nobody's now. Before Watch.
void ClearHolds(const std::string& folder);

}  // namespace muster::worker::vault
