// Looks at the slots of some folders: whenever one was nudged (SlotFile::Nudge), a folder was
// added, and once a second besides, should a nudge ever be missed.
//
// Threads: one of its own, of low priority, on which `look_at` is called with a slot's path, one
//          after the other. The other functions from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace muster::worker::vault {

// By name. Empty when the folder cannot be read.
std::vector<std::string> SlotsIn(const std::string& folder);

class SlotWatch {
 public:
  SlotWatch() = default;
  ~SlotWatch() { End(); }
  SlotWatch(const SlotWatch&) = delete;
  SlotWatch& operator=(const SlotWatch&) = delete;

  absl::Status Start(std::function<void(const std::string& path)> look_at);
  // What is in it already is looked at too.
  void Watch(const std::string& folder);
  void Forget(const std::string& folder);
  bool Watches(const std::string& folder) const;
  // Whoever is in `look_at` should return soon.
  bool ending() const { return ending_; }
  void End();  // returns when look_at is called no more

 private:
  void Run();

  std::function<void(const std::string&)> look_at_;
  std::thread thread_;
  std::atomic<bool> ending_ = false;
  int changes_ = -1;  // inotify
  int wake_ = -1;     // eventfd
  mutable std::mutex mutex_;
  std::map<std::string, int> folders_;  // with the number of their watch
};

}  // namespace muster::worker::vault
