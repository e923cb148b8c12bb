#include <gtest/gtest.h>

#include "worker/device/devices.h"

namespace muster::worker::device {
namespace {

TEST(Devices, CoresOfAQuota) {
  const struct {
    const char* text;
    uint32_t cores;
  } cases[] = {{"max 100000", 0},   {"200000 100000", 2}, {"250000 100000", 2},
               {"50000 100000", 1}, {"-1 100000", 0},     {"", 0},
               {"junk", 0}};
  for (const auto& one : cases) EXPECT_EQ(CoresOfCpuMax(one.text), one.cores) << one.text;
}

TEST(Devices, CpuHasASlotPerCoreNumberedFromZero) {
  const auto devices = CpuDevices().Find();
  ASSERT_TRUE(devices.ok());
  ASSERT_FALSE(devices->empty());
  for (uint32_t slot = 0; slot < devices->size(); ++slot) {
    EXPECT_EQ((*devices)[slot].slot(), slot);
    EXPECT_EQ((*devices)[slot].kind(), "cpu");
  }
}

TEST(Devices, WithoutTheLibraryThereIsNoGpu) {
  EXPECT_EQ(NvmlDevices("libnone-of-ours.so").Find().status().code(), absl::StatusCode::kNotFound);
}

TEST(Devices, SlotsOverrideWhatIsFound) {
  const auto devices = FindDevices(17);
  ASSERT_TRUE(devices.ok());
  EXPECT_EQ(devices->size(), 17u);
}

}  // namespace
}  // namespace muster::worker::device
