#include "worker/shim/rank_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "worker/shim/folder.h"

namespace muster::worker::shim {
namespace {

using ::testing::ElementsAre;

TEST(LogFile, RotatesAndKeepsOneOlderFile) {
  char folder[] = "/tmp/muster-log-test.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/stdout.log";
  {
    LogFile log(path, 10);
    for (const char* text : {"11111111", "22222222", "33333333", "4"}) {
      log.Append(text, std::strlen(text));
    }
  }
  EXPECT_EQ(*ReadFile(path), "333333334");
  EXPECT_EQ(*ReadFile(path + ".1"), "22222222");
  std::filesystem::remove_all(folder);
}

TEST(LogFile, FullDiskCostsTheLogOnly) {
  LogFile log("/dev/full", 0);
  log.Append("123", 3);
  log.Append("4567", 4);
  EXPECT_EQ(log.dropped_bytes(), 7u);
}

TEST(LastLines, KeepsTheNewestOfAllStreamsAndUnfinishedOnes) {
  LastLines lines(2);
  for (size_t i = 0; i < kLastLinesMax + 5; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    lines.Add(i % 2, line.data(), line.size());
  }
  lines.Add(1, "no end", 6);
  const std::vector<std::string> all = lines.All();
  ASSERT_EQ(all.size(), kLastLinesMax);
  EXPECT_EQ(all.back(), "no end");
  EXPECT_EQ(all.front(), "line 6");
}

TEST(LastLines, ShowsWhatIsNotTextAsQuestionMarks) {
  LastLines lines(1);
  const std::string bytes = "a\xff\xc3\xa9\xed\xa0\x80\x01z\r\n";
  lines.Add(0, bytes.data(), bytes.size());
  EXPECT_THAT(lines.All(), ElementsAre("a?\xc3\xa9????z"));
}

TEST(LastLines, CutsEndlessLines) {
  LastLines lines(1);
  const std::string bytes(kLineBytesMax * 3, 'x');
  lines.Add(0, bytes.data(), bytes.size());
  EXPECT_EQ(lines.All().front().size(), kLineBytesMax);
}

}  // namespace
}  // namespace muster::worker::shim
