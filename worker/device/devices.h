// What a node has for ranks to run on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/node.pb.h"

namespace muster::worker::device {

// Threads: none needed; asked once at start.
class Devices {
 public:
  virtual ~Devices() = default;

  // One entry per slot, slots numbered from 0.
  virtual absl::StatusOr<std::vector<v1::Device>> Find() = 0;
};

// The cores this process may use: its affinity mask, and no more than the cgroup's CPU quota
// (rounded down, at least 1).
class CpuDevices : public Devices {
 public:
  absl::StatusOr<std::vector<v1::Device>> Find() override;
};

// GPUs, by the driver's own library, loaded at run time.
// Errors: kNotFound: no such library or no GPU: take CpuDevices.
class NvmlDevices : public Devices {
 public:
  explicit NvmlDevices(std::string library = "libnvidia-ml.so.1") : library_(std::move(library)) {}
  absl::StatusOr<std::vector<v1::Device>> Find() override;

 private:
  std::string library_;
};

// As many as told: for tests, and for `--slots`, which may promise more ranks than cores.
class FakeDevices : public Devices {
 public:
  FakeDevices(uint32_t count, std::string kind) : count_(count), kind_(std::move(kind)) {}
  absl::StatusOr<std::vector<v1::Device>> Find() override;

 private:
  uint32_t count_;
  std::string kind_;
};

// GPUs where there are any, else cores; `slots` > 0 overrides the number.
absl::StatusOr<std::vector<v1::Device>> FindDevices(uint32_t slots);

// "max 100000" or "200000 100000" (cgroup v2's cpu.max) → cores allowed; 0 = no limit.
uint32_t CoresOfCpuMax(const std::string& text);

}  // namespace muster::worker::device
