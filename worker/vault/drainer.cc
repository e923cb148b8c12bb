#include "worker/vault/drainer.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "checkpoint/slot_file.h"
#include "common/status.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;

constexpr int kLookAgainMs = 1000;  // should a change ever be missed
constexpr int kNice = 10;           // training comes first

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

Drainer::~Drainer() {
  ending_ = true;
  if (wake_ >= 0) eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  if (changes_ >= 0) close(changes_);
  if (wake_ >= 0) close(wake_);
}

absl::Status Drainer::Start() {
  changes_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (changes_ < 0) return ErrnoError(errno, "watch the vault (inotify)");
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return ErrnoError(errno, "watch the vault (eventfd)");
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Drainer::Watch(const std::string& folder) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (folders_.contains(folder)) return;
    // Without a watch it is still looked at from time to time.
    folders_[folder] = inotify_add_watch(changes_, folder.c_str(), IN_ATTRIB);
  }
  eventfd_write(wake_, 1);
}

void Drainer::Forget(const std::string& folder) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = folders_.find(folder);
  if (found == folders_.end()) return;
  if (found->second >= 0) inotify_rm_watch(changes_, found->second);
  folders_.erase(found);
}

bool Drainer::IsWatched(const std::string& folder) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return folders_.contains(folder);
}

void Drainer::Run() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  while (!ending_) {
    Look();
    pollfd fds[] = {{changes_, POLLIN, 0}, {wake_, POLLIN, 0}};
    poll(fds, 2, kLookAgainMs);
    // What changed is seen by looking; the events themselves only wake us.
    char events[4096];
    while (read(changes_, events, sizeof(events)) > 0) {
    }
    eventfd_t count = 0;
    eventfd_read(wake_, &count);
  }
}

void Drainer::Look() {
  std::vector<std::string> folders;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [folder, watch] : folders_) folders.push_back(folder);
  }
  for (const std::string& folder : folders) {
    for (const std::string& path : SlotsIn(folder)) {
      if (ending_) return;
      if (IsWatched(folder)) LookAt(path);
    }
  }
}

void Drainer::LookAt(const std::string& path) {
  absl::StatusOr<SlotFile> file = SlotFile::Open(path);
  if (!file.ok() || !file->slot().awaits_drain()) return;
  checkpoint::RamSlot& slot = file->slot();
  if (!slot.Hold(checkpoint::kHeldByDrain)) return;
  if (!slot.awaits_drain()) return slot.Release(checkpoint::kHeldByDrain);  // given up meanwhile
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const absl::StatusOr<Drained> drained = DrainSlot(
      *file, options_, [&] { return !ending_ && !NobodyWaits(slot) && IsWatched(folder); });
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
