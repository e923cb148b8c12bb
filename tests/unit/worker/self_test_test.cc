// The worker's child that tests the node: what it reports however the child ends.
#include "worker/daemon/self_test.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/support/temp_folder.h"

namespace muster::worker::daemon {
namespace {

class SelfTestTest : public ::testing::Test {
 protected:
  std::string Script(const std::string& lines) {
    const std::string path = folder_.File("preflight");
    std::ofstream(path) << "#!/bin/sh\n" << lines << "\n";
    chmod(path.c_str(), 0755);
    return path;
  }
  // Waits for the child, not for a time.
  core::TestDone RunToEnd(SelfTest& test, int64_t now_ms = 1000) {
    for (;;) {
      if (auto done = test.Turn(now_ms)) return *std::move(done);
      pollfd fd{test.fd(), POLLIN, 0};
      EXPECT_GT(poll(&fd, 1, 30'000), 0) << "the child says nothing";
    }
  }

  TempFolder folder_;
};

TEST_F(SelfTestTest, PassesWithTheChildsFirstLine) {
  SelfTest test(Script("echo; echo \"all well in $2\"; echo more"), folder_.path());
  test.Start(7);
  const core::TestDone done = RunToEnd(test);
  EXPECT_EQ(done.test, 7u);
  EXPECT_TRUE(done.passed);
  EXPECT_EQ(done.text, "all well in " + folder_.path());
  EXPECT_EQ(test.fd(), -1);
  EXPECT_FALSE(test.Turn(2000)) << "told once";
}

TEST_F(SelfTestTest, FailsWithWhatTheChildSays) {
  SelfTest test(Script("echo 'memory: byte 8' >&2; exit 1"), folder_.path());
  test.Start(1);
  const core::TestDone done = RunToEnd(test);
  EXPECT_FALSE(done.passed);
  EXPECT_EQ(done.text, "memory: byte 8");
}

TEST_F(SelfTestTest, FailsWhenTheChildIsKilledOrSaysNothing) {
  SelfTest killed(Script("echo working; kill -SEGV $$"), folder_.path());
  killed.Start(1);
  EXPECT_NE(RunToEnd(killed).text.find("SIGSEGV: working"), std::string::npos);
  SelfTest silent(Script("exit 3"), folder_.path());
  silent.Start(1);
  const core::TestDone done = RunToEnd(silent);
  EXPECT_FALSE(done.passed);
  EXPECT_NE(done.text.find("exited 3"), std::string::npos) << done.text;
}

TEST_F(SelfTestTest, FailsWhenThereIsNoSuchProgram) {
  SelfTest test(folder_.File("missing"), folder_.path());
  test.Start(1);
  const core::TestDone done = RunToEnd(test);
  EXPECT_FALSE(done.passed);
  EXPECT_NE(done.text.find("missing"), std::string::npos) << done.text;
}

TEST_F(SelfTestTest, IsKilledWhenItsTimeIsUpAndReplacedByANewerOne) {
  SelfTest test(Script("exec sleep 1000"), folder_.path());
  test.Start(1);
  EXPECT_FALSE(test.Turn(1000));
  EXPECT_FALSE(test.Turn(test.wake_at_ms() - 1));
  test.Start(2);
  EXPECT_FALSE(test.Turn(5000)) << "the time of the new one counts";
  const auto done = test.Turn(test.wake_at_ms());
  ASSERT_TRUE(done);
  EXPECT_EQ(done->test, 2u);
  EXPECT_FALSE(done->passed);
  EXPECT_NE(done->text.find("killed"), std::string::npos) << done->text;
}

}  // namespace
}  // namespace muster::worker::daemon
