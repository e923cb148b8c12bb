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

TEST_F(Durability, AnUnfinishedPruneIsFinishedThoughNothingElseIsThere) {
  ASSERT_TRUE(MakeFolders(files_, kJob + "/.trash-step-0000000001.a1/data").ok());
  ASSERT_TRUE(Prune(kJob, Keep(1, 1), files_).ok());
  EXPECT_FALSE(files_.disk().Exists(kJob + "/.trash-step-0000000001.a1"));
  EXPECT_TRUE(Prune("/absent", Keep(1, 1), files_).ok());
}

TEST_F(Durability, TrashIsEmptiedOnlyWhenItsNameIsDurable) {
  SaveAll({{10, 1}, {20, 1}});
  ASSERT_TRUE(files_.Rename(Folder({10, 1}), kJob + "/.trash-" + CheckpointFolder({10, 1})).ok());
  // The process died here; the next one finds the trash, and the power fails while it empties it.
  const SimulatedDisk before =
      Before("remove folder", "/data", [&] { EXPECT_TRUE(Prune(kJob, Keep(2, 1), files_).ok()); });
  DiskFiles found(before.PowerLoss(Survival::kSynced, 0));
  EXPECT_EQ(Committed(found), (std::vector<CheckpointId>{{20, 1}}));
}

TEST_F(Durability, UnfinishedWritesInCommittedFoldersAreSwept) {
  SaveAll({{10, 1}});
  for (const char* name : {"/.tmp-COMMIT", "/data/.tmp-w00007"}) {
    ASSERT_TRUE(files_.Create(Folder({10, 1}) + name).ok());
  }
  EXPECT_TRUE(Verify(Folder({10, 1}), nullptr, VerifyDepth::kEverything, files_).ok());
  ASSERT_TRUE(Prune(kJob, Keep(1, 1), files_).ok());
  EXPECT_FALSE(files_.disk().Exists(Folder({10, 1}) + "/.tmp-COMMIT"));
  EXPECT_FALSE(files_.disk().Exists(Folder({10, 1}) + "/data/.tmp-w00007"));
}

// 20 and 30 were marked bad; attempt 2 went on from 10.
TEST_F(Durability, WhatANewerAttemptTurnedItsBackOnDoesNotOutliveWhatItLivesOn) {
  SaveAll({{10, 1}, {20, 1}, {30, 1}, {15, 2}});
  ASSERT_TRUE(Prune(kJob, Keep(2, 2), files_).ok());
  EXPECT_EQ(Committed(files_), (std::vector<CheckpointId>{{15, 2}, {10, 1}}));
  SaveAll({{18, 2}});
  ASSERT_TRUE(Prune(kJob, Keep(1, 2), files_).ok());
  EXPECT_EQ(Committed(files_), (std::vector<CheckpointId>{{18, 2}}));
}

// Another process has committed 20 and not come to the sync of its folder.
TEST_F(Durability, NothingIsDeletedForOneThatIsNotDurableYet) {
  SaveAll({{10, 1}, {20, 1}});
  const std::string commit = Folder({20, 1}) + "/COMMIT", aside = Folder({20, 1}) + "/aside";
  ASSERT_TRUE(files_.Rename(commit, aside).ok());
  ASSERT_TRUE(files_.SyncFolder(Folder({20, 1})).ok());
  ASSERT_TRUE(files_.Rename(aside, commit).ok());
  ASSERT_TRUE(Prune(kJob, Keep(1, 1), files_).ok());
  DiskFiles found(files_.disk().PowerLoss(Survival::kSynced, 0));
  EXPECT_EQ(Committed(found), (std::vector<CheckpointId>{{20, 1}}));
}

TEST_F(Durability, TwoPrunesAtOnceDoNotStopEachOther) {
  SaveAll({{10, 1}, {20, 1}, {30, 1}});
  DiskFiles other(&files_.disk());
  bool done = false;
  files_.set_gate([&](const DiskFiles::Call& call) {
    if (!done && std::string(call.what) == "rename") {
      done = true;
      EXPECT_TRUE(Prune(kJob, Keep(1, 1), other).ok());
    }
    return absl::OkStatus();
  });
  const auto report = Prune(kJob, Keep(1, 1), files_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Committed(files_), (std::vector<CheckpointId>{{30, 1}}));
}

}  // namespace
}  // namespace muster::checkpoint
