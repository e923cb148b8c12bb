#include "worker/vault/slot_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "checkpoint/slot_file.h"
#include "common/status.h"

namespace muster::worker::vault {
namespace {

constexpr int kLookAgainMs = 1000;
constexpr int kNice = 10;  // training comes first

}  // namespace

std::vector<std::string> SlotsIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (checkpoint::ParseSlotFileName(at->path().filename().string())) {
      paths.push_back(at->path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::Status SlotWatch::Start(std::function<void(const std::string&)> look_at) {
  look_at_ = std::move(look_at);
  changes_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (changes_ < 0) return ErrnoError(errno, "watch the vault (inotify)");
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return ErrnoError(errno, "watch the vault (eventfd)");
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void SlotWatch::End() {
  ending_ = true;
  if (wake_ >= 0) eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  for (int* fd : {&changes_, &wake_}) {
    if (*fd >= 0) close(std::exchange(*fd, -1));
  }
}

void SlotWatch::Watch(const std::string& folder) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Without a watch it is still looked at from time to time.
    if (!folders_.contains(folder)) {
      folders_[folder] = inotify_add_watch(changes_, folder.c_str(), IN_ATTRIB);
    }
  }
  eventfd_write(wake_, 1);
}

void SlotWatch::Forget(const std::string& folder) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = folders_.find(folder);
  if (found == folders_.end()) return;
  if (found->second >= 0) inotify_rm_watch(changes_, found->second);
  folders_.erase(found);
}

bool SlotWatch::Watches(const std::string& folder) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return folders_.contains(folder);
}

void SlotWatch::Run() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  while (!ending_) {
    std::vector<std::string> folders;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [folder, watch] : folders_) folders.push_back(folder);
    }
    for (const std::string& folder : folders) {
      for (const std::string& path : SlotsIn(folder)) {
        if (!ending_ && Watches(folder)) look_at_(path);
      }
    }
    pollfd fds[] = {{changes_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (!ending_) poll(fds, 2, kLookAgainMs);
    // What changed is seen by looking; the events themselves only wake us.
    char events[4096];
    while (read(changes_, events, sizeof(events)) > 0) {
    }
    eventfd_t count = 0;
    eventfd_read(wake_, &count);
  }
}

}  // namespace muster::worker::vault
