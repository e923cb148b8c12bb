// What a crash at one certain call must not do.
#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/checkpoint/crash_history.h"

namespace muster::checkpoint {
namespace {

std::string Folder(CheckpointId id) { return kJob + "/" + CheckpointFolder(id); }

class Durability : public testing::Test {
 protected:
  void SaveAll(const std::vector<CheckpointId>& ids) {
    for (const CheckpointId& id : ids) {
      const absl::Status saved = SaveStep(files_, id, 2, history_);
      ASSERT_TRUE(saved.ok()) << saved;
    }
  }
  // The disk as it was just before this call.
  SimulatedDisk Before(const std::string& what, const std::string& path,
                       const std::function<void()>& act) {
    SimulatedDisk before;
    bool found = false;
    files_.set_gate([&](const DiskFiles::Call& call) {
      if (!found && call.what == what && call.path.ends_with(path)) {
        before = files_.disk();
        found = true;
      }
      return absl::OkStatus();
    });
    act();
    files_.set_gate(nullptr);
    EXPECT_TRUE(found) << what << " " << path;
    return before;
  }
  std::vector<CheckpointId> Committed(DiskFiles& files) {
    std::vector<CheckpointId> ids;
    const std::vector<CheckpointEntry> all = *ListCheckpoints(kJob, files);
    for (const CheckpointEntry& entry : all) {
      if (entry.state == CheckpointState::kCommitted) ids.push_back(entry.id);
    }
    return ids;
  }
  static PruneOptions Keep(uint32_t keep, uint64_t attempt) {
    return {.keep = keep, .pinned = {}, .current_attempt = attempt};
  }

  DiskFiles files_;
  History history_;
};

// link() made the second name, the crash left the first: both are one file.
TEST_F(Durability, ACommitThatIsRepeatedNeverEmptiesCommit) {
  SaveAll({{10, 1}});
  const CommitRecord record = *ReadCommit(Folder({10, 1}), files_);
  ASSERT_TRUE(files_.Link(Folder({10, 1}) + "/COMMIT", Folder({10, 1}) + "/.tmp-COMMIT").ok());
  const SimulatedDisk before = Before("write", ".tmp-COMMIT", [&] {
    EXPECT_TRUE(Commit(Folder({10, 1}), record, files_).ok());
  });
  DiskFiles found(before.PowerLoss(Survival::kEverything, 0));
  EXPECT_EQ(*ReadCommit(Folder({10, 1}), found), record);
}

TEST_F(Durability, FoldersMadeByAProcessThatDiedAreDurableWithTheCommit) {
  // Died after mkdir, before the sync of the parent.
  ASSERT_TRUE(files_.MakeFolder("/ck").ok());
  ASSERT_TRUE(files_.MakeFolder(kJob).ok());
  SaveAll({{10, 2}});
  DiskFiles found(files_.disk().PowerLoss(Survival::kSynced, 0));
  EXPECT_EQ(Committed(found), (std::vector<CheckpointId>{{10, 2}}));
}

}  // namespace
}  // namespace muster::checkpoint
