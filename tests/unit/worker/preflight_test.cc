// Each part of the node's test on this machine, at a size that takes no time.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_folder.h"
#include "worker/preflight/disk.h"
#include "worker/preflight/matrix.h"
#include "worker/preflight/memory.h"

namespace muster::worker::preflight {
namespace {

TEST(Preflight, ProductsOfEverySizeAreExact) {
  for (const uint32_t size : {1u, 16u, 33u, 100u, 256u}) {
    const auto speed = TestMatrix({.size = size, .threads = 2, .span = absl::ZeroDuration()});
    ASSERT_TRUE(speed.ok()) << size << ": " << speed.status().message();
    EXPECT_GT(*speed, 0);
  }
}

TEST(Preflight, MemoryHoldsItsPatterns) {
  for (const uint64_t bytes : {0u, 8u, 4096u, 1u << 20}) {
    const auto speed = TestMemory({.bytes = bytes, .span = absl::ZeroDuration()});
    ASSERT_TRUE(speed.ok()) << bytes << ": " << speed.status().message();
  }
  EXPECT_EQ(TestMemory({.bytes = uint64_t{1} << 60}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Preflight, NoMoreMemoryIsTestedThanTheShareOfWhatIsFree) {
  EXPECT_EQ(BytesToTest(0.5, 4096), 4096u);
  EXPECT_EQ(BytesToTest(0, 4096), 0u);
  EXPECT_GT(BytesToTest(0.5, uint64_t{1} << 60), 0u);
}

TEST(Preflight, DiskGivesBackWhatWasWrittenAndNothingStaysBehind) {
  const TempFolder folder;
  const auto speed = TestDisk({.folder = folder.path(), .bytes = 3u << 20});
  ASSERT_TRUE(speed.ok()) << speed.status().message();
  EXPECT_EQ(speed->bytes, 3u << 20);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Preflight, DiskErrorsNameTheFile) {
  const TempFolder folder;
  const auto missing = TestDisk({.folder = folder.File("nowhere"), .bytes = 1});
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("nowhere/preflight"), absl::string_view::npos);
}

}  // namespace
}  // namespace muster::worker::preflight
