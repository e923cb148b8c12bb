#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "common/status.h"
#include "worker/device/devices.h"

namespace muster::worker::device {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The quota of this process's cgroup, of either version; 0 = none.
uint32_t CgroupCores() {
  const uint32_t v2 = CoresOfCpuMax(FirstLine("/sys/fs/cgroup/cpu.max"));
  if (v2 > 0) return v2;
  return CoresOfCpuMax(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") + " " +
                       FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
}

}  // namespace

uint32_t CoresOfCpuMax(const std::string& text) {
  std::istringstream words(text);
  int64_t quota = 0;
  int64_t period = 0;
  if (!(words >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return static_cast<uint32_t>(std::max<int64_t>(1, quota / period));
}

absl::StatusOr<std::vector<v1::Device>> CpuDevices::Find() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    return ErrnoError(errno, "read the cores this process may use; state them with --slots");
  }
  auto count = static_cast<uint32_t>(CPU_COUNT(&allowed));
  if (const uint32_t quota = CgroupCores(); quota > 0) count = std::min(count, quota);
  return FakeDevices(std::max(1u, count), "cpu").Find();
}

absl::StatusOr<std::vector<v1::Device>> FakeDevices::Find() {
  std::vector<v1::Device> devices(count_);
  for (uint32_t slot = 0; slot < count_; ++slot) {
    devices[slot].set_slot(slot);
    devices[slot].set_kind(kind_);
  }
  return devices;
}

absl::StatusOr<std::vector<v1::Device>> FindDevices(uint32_t slots) {
  auto devices = NvmlDevices().Find();
  if (absl::IsNotFound(devices.status())) {
    if (slots > 0) return FakeDevices(slots, "cpu").Find();
    return CpuDevices().Find();
  }
  if (!devices.ok() || slots == 0) return devices;
  if (slots < devices->size()) devices->resize(slots);
  while (devices->size() < slots) {
    v1::Device extra = devices->front();  // several slots on one GPU: for tests of GPU jobs
    extra.set_slot(static_cast<uint32_t>(devices->size()));
    devices->push_back(extra);
  }
  return devices;
}

}  // namespace muster::worker::device
