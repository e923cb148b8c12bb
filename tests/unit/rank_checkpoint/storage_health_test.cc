#include "rank/checkpoint/storage_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace muster::rank {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Hears of troubles alone.
class TroubleLink : public SaveLink {
 public:
  bool WantedStop() override { return false; }
  uint64_t WantedSave() override { return 0; }
  absl::Status RequestCommit(uint64_t, const std::string&, uint64_t) override { return NotAsked(); }
  absl::StatusOr<CommitAnswer> PollCommit(uint64_t, int, std::string*) override {
    return NotAsked();
  }
  absl::Status CommitDone(uint64_t, const std::string&, uint64_t) override { return NotAsked(); }
  absl::Status Pruned(uint64_t, uint64_t) override { return NotAsked(); }
  absl::Status SaveTrouble(muster_save_trouble, uint64_t, const std::string& text) override {
    troubles.push_back(text);
    return absl::OkStatus();
  }

  std::vector<std::string> troubles;  // "": over

 private:
  static absl::Status NotAsked() { return absl::InternalError("nobody asks this"); }
};

TEST(StorageHealthTest, ALateSaveIsOneThatTakesLongerThanSavesDo) {
  TroubleLink link;
  std::vector<std::string> lines;
  Console console;
  console.out = console.problem = [&](const std::string& line) { lines.push_back(line); };
  StorageHealth health("/ck", &link, console);
  health.OnItsWay(10, 9);
  EXPECT_THAT(link.troubles, IsEmpty());
  health.Committed(10, 30);
  health.OnItsWay(20, 80);
  EXPECT_THAT(link.troubles, IsEmpty()) << "saves take half a minute here";
  health.OnItsWay(20, 91);
  ASSERT_EQ(link.troubles.size(), 1u);
  EXPECT_THAT(link.troubles[0], HasSubstr("save of step 20 is on its way for 91 s; is /ck slow"));
  health.OnItsWay(20, 92);
  health.Failed(20, "save of step 20 failed: no");
  EXPECT_EQ(link.troubles.size(), 1u) << "one trouble";
  health.Committed(30, 200);
  EXPECT_THAT(link.troubles, ElementsAre(testing::_, ""));
  health.OnItsWay(40, 91);
  EXPECT_EQ(link.troubles.size(), 3u) << "what took long in bad times is no measure";
  EXPECT_EQ(lines.size(), 4u);
}

}  // namespace
}  // namespace muster::rank
