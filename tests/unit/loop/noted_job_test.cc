// What a whole run leaves in the rings of its ranks.
#include <gtest/gtest.h>

#include "tests/unit/collective/recorded_ring.h"
#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"

namespace muster::trainer::loop {
namespace {

using collective::RecordedRing;

class NotingLink : public FakeLink {
 public:
  NotingLink() : FakeLink(Commits::kPermitted) {}
  collective::CollectiveRing* ring() override { return &notes; }
  RecordedRing notes;
};

struct Noted {
  std::string name;
  muster_group group;
  std::vector<std::vector<int>> members;  // of each group of the kind
};

void ExpectAlike(const std::vector<NotingLink>& links, const Noted& noted) {
  for (const std::vector<int>& members : noted.members) {
    const auto first = links[static_cast<size_t>(members[0])].notes.Of(noted.group);
    EXPECT_GT(first.size(), 10u) << noted.name;
    for (const int rank : members) {
      const auto here = links[static_cast<size_t>(rank)].notes.Of(noted.group);
      ASSERT_EQ(here.size(), first.size()) << noted.name << " rank " << rank;
      for (size_t i = 0; i < here.size(); ++i) {
        ASSERT_EQ(here[i].operation, first[i].operation) << noted.name << " " << i;
        ASSERT_EQ(here[i].states, first[i].states) << noted.name << " " << i;
        ASSERT_EQ(here[i].states.back(), 'd') << noted.name << " " << i;
      }
    }
  }
}

// Else sequence numbers could not be compared between ranks.
TEST(NotedJob, TheRanksOfAGroupNoteTheSameCollectives) {
  const TempFolder folder;
  std::vector<NotingLink> links(4);
  Job job{.mesh = "data: 2, tensor: 2", .save_every = 2};
  job.checkpoints = folder.path() + "/ck";
  job.link = [&](int rank) { return &links[static_cast<size_t>(rank)]; };
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  ExpectAlike(links, {"world", MUSTER_GROUP_WORLD, {{0, 1, 2, 3}}});
  ExpectAlike(links, {"data", MUSTER_GROUP_DATA, {{0, 2}, {1, 3}}});
  ExpectAlike(links, {"tensor", MUSTER_GROUP_TENSOR, {{0, 1}, {2, 3}}});
}

TEST(NotedJob, ARankAloneNotesNothing) {
  const TempFolder folder;
  NotingLink link;
  Job job{.mesh = "data: 1", .steps = 2};
  job.checkpoints = folder.path() + "/ck";
  job.link = [&](int) { return &link; };
  const JobOutcome outcome = RunJob(job);
  ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  EXPECT_TRUE(link.notes.notes.empty());
}

}  // namespace
}  // namespace muster::trainer::loop
