#include "coordinator/journal/state_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/support/temp_folder.h"

namespace muster::coordinator::journal {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(StateFolder, SecondOwnerIsToldWhoTheFirstIs) {
  TempFolder temp;
  auto first = StateFolder::Open(temp.File("state"));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE((*first)->PublishAddress("127.0.0.1:7077").ok());
  const auto second = StateFolder::Open(temp.File("state"));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(second.status().message()),
            fmt::format("state folder {} is in use by process {} (127.0.0.1:7077); stop it or use "
                        "another --state",
                        temp.File("state"), getpid()));
}

TEST(StateFolder, IsFreeAgainWhenItsOwnerIsGone) {
  TempFolder temp;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // dies without a clean end
    auto folder = StateFolder::Open(temp.File("state"));
    _exit(folder.ok() && (*folder)->PublishAddress("127.0.0.1:1").ok() ? 0 : 1);
  }
  int state = 0;
  waitpid(child, &state, 0);
  ASSERT_EQ(state, 0);
  EXPECT_EQ(Contents(temp.File("state/address")), "127.0.0.1:1\n");
  auto folder = StateFolder::Open(temp.File("state"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_FALSE(std::filesystem::exists(temp.File("state/address"))) << "stale address";
}

TEST(StateFolder, AddressIsThereWhileItRunsAndNotAfterwards) {
  TempFolder temp;
  {
    auto folder = StateFolder::Open(temp.path());
    ASSERT_TRUE(folder.ok()) << folder.status();
    ASSERT_TRUE((*folder)->PublishAddress("127.0.0.1:7070").ok());
    EXPECT_EQ(Contents(temp.File("address")), "127.0.0.1:7070\n");
  }
  EXPECT_FALSE(std::filesystem::exists(temp.File("address")));
}

TEST(StateFolder, SaysWhatIsInTheWay) {
  TempFolder temp;
  std::ofstream(temp.File("file")) << "x";
  const auto folder = StateFolder::Open(temp.File("file"));
  ASSERT_FALSE(folder.ok());
  EXPECT_THAT(std::string(folder.status().message()), ::testing::HasSubstr(temp.File("file")));
}

}  // namespace
}  // namespace muster::coordinator::journal
