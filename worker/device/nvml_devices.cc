#include <dlfcn.h>

#include "common/status.h"
#include "worker/device/devices.h"

namespace muster::worker::device {
namespace {

// The few functions used, with NVML's C types written out (nvml.h is not needed to build).
using Handle = struct nvmlDevice_st*;
using Init = int (*)();
using Count = int (*)(unsigned*);
using ByIndex = int (*)(unsigned, Handle*);
using Text = int (*)(Handle, char*, unsigned);

constexpr int kSuccess = 0;
constexpr unsigned kTextBytes = 96;

std::string TextOf(Text function, Handle handle) {
  char text[kTextBytes] = {};
  return function(handle, text, kTextBytes) == kSuccess ? std::string(text) : std::string();
}

class Library {
 public:
  explicit Library(const std::string& name) : handle_(dlopen(name.c_str(), RTLD_NOW)) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  bool ok() const { return handle_ != nullptr; }

  template <typename Function>
  Function Symbol(const char* name) const {
    return reinterpret_cast<Function>(dlsym(handle_, name));
  }

 private:
  void* handle_;
};

}  // namespace

absl::StatusOr<std::vector<v1::Device>> NvmlDevices::Find() {
  const Library library(library_);
  if (!library.ok()) return NotFound("find GPUs: {} is not here", library_);
  const auto init = library.Symbol<Init>("nvmlInit_v2");
  const auto shutdown = library.Symbol<Init>("nvmlShutdown");
  const auto count = library.Symbol<Count>("nvmlDeviceGetCount_v2");
  const auto by_index = library.Symbol<ByIndex>("nvmlDeviceGetHandleByIndex_v2");
  const auto name = library.Symbol<Text>("nvmlDeviceGetName");
  const auto uuid = library.Symbol<Text>("nvmlDeviceGetUUID");
  if (!init || !shutdown || !count || !by_index || !name || !uuid) {
    return NotFound("find GPUs: {} lacks a function of NVML", library_);
  }
  // Without a driver the library may still be installed: then there is no GPU to use.
  if (const int code = init(); code != kSuccess) {
    return NotFound("find GPUs: NVML does not start (code {})", code);
  }
  unsigned found = 0;
  const int counted = count(&found);
  std::vector<v1::Device> devices;
  for (unsigned index = 0; counted == kSuccess && index < found; ++index) {
    Handle handle = nullptr;
    if (const int code = by_index(index, &handle); code != kSuccess) {
      shutdown();
      return Unavailable(
          "find GPUs: GPU {} of {} does not answer (NVML code {}); reset it or "
          "state the slots with --slots",
          index, found, code);
    }
    v1::Device& device = devices.emplace_back();
    device.set_slot(index);
    device.set_kind(TextOf(name, handle));
    device.set_uuid(TextOf(uuid, handle));
  }
  shutdown();
  if (devices.empty()) return NotFound("find GPUs: NVML knows none");
  return devices;
}

}  // namespace muster::worker::device
