// Brings to storage what the ranks of this node seal for it.
//
// A rank that sealed a slot to be drained touches the slot's file; the drainer hears of it, writes
// the shard and marks the slot persisted, or given up with the reason. What an earlier life of the
// worker left undone is done first. One shard at a time.
//
// Threads: one of its own. All functions from one thread; the destructor ends the drain under way,
//          and the next life begins it anew.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/vault/drain.h"

namespace muster::worker::vault {

class Drainer {
 public:
  explicit Drainer(const DrainOptions& options) : options_(options) {}
  ~Drainer();
  Drainer(const Drainer&) = delete;
  Drainer& operator=(const Drainer&) = delete;

  absl::Status Start();
  // A job's folder of the vault; what is in it already is looked at too.
  void Watch(const std::string& folder);
  void Forget(const std::string& folder);

 private:
  void Run();
  void Look();
  void LookAt(const std::string& path);
  bool IsWatched(const std::string& folder);

  const DrainOptions options_;
  std::thread thread_;
  std::atomic<bool> ending_ = false;
  int changes_ = -1;  // inotify
  int wake_ = -1;     // eventfd
  std::mutex mutex_;
  std::map<std::string, int> folders_;  // with the number of their watch
};

// Ends what an earlier life of the worker was reading: its holds are nobody's now. Before Watch.
void ClearHolds(const std::string& folder);

}  // namespace muster::worker::vault
