#include "coordinator/core/ladder.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "coordinator/core/failure_row.h"

namespace muster::coordinator::core {
namespace {

// The written table: the first row that is true of a situation names its rung.
struct Row {
  const char* name;
  std::function<bool(const Situation&)> when;
  v1::Rung rung;
};

bool Bad(const Situation& s) {
  return s.has_checkpoint && s.failed_resumes >= 2 &&
         (s.has_older || s.newest_step <= s.save_every);
}
bool Lost(const Situation& s) { return s.nodes_lost > 0; }
bool Accused(const Situation& s) { return !s.accused.empty(); }
// Room with every node that may be used; an accused one may, when there is no other.
bool Room(const Situation& s) { return s.room_for_all || (Accused(s) && s.room_with_accused); }

const std::vector<Row>& Table() {
  static const std::vector<Row> table = {
      {"too many failures of ranks in a row end it",
       [](const Situation& s) { return s.ranks_failed && s.failures >= s.failures_max; },
       v1::RUNG_STOP},
      {"a lost node, no room, nothing shorter: wait, with whatever checkpoint",
       [](const Situation& s) {
         return (Lost(s) || Accused(s)) && !Room(s) && s.smaller_data == 0;
       },
       v1::RUNG_REQUEUE},
      {"two failed resumes: an older checkpoint, wherever it runs", Bad, v1::RUNG_STEP_BACK},
      {"no room for all, but for less",
       [](const Situation& s) { return (Lost(s) || Accused(s)) && !Room(s); }, v1::RUNG_SHRINK},
      {"a lost node, and room", Lost, v1::RUNG_REPLACE},
      {"an accused node, and room without it",
       [](const Situation& s) { return Accused(s) && s.room_for_all; }, v1::RUNG_REPLACE},
      {"an accused node, and no other", Accused, v1::RUNG_RESTART},
      {"the ranks can re-form, and it is the first try",
       [](const Situation& s) { return s.can_reform && s.failures <= 1; }, v1::RUNG_REFORM},
      {"all is there", [](const Situation&) { return true; }, v1::RUNG_RESTART},
  };
  return table;
}

// Calls `use` with every situation that can be, within small numbers.
void ForEach(const std::function<void(const Situation&)>& use) {
  const auto bit = [](uint32_t bits, int at) { return (bits >> at & 1) != 0; };
  for (uint32_t bits = 0; bits < 1u << 10; ++bits) {
    for (uint32_t failures = 0; failures <= 4; ++failures) {
      for (uint32_t resumes = 0; resumes <= 3; ++resumes) {
        Situation s;
        s.nodes_lost = bit(bits, 0) ? 1 : 0;
        s.lost = bit(bits, 0) ? "n1" : "";
        s.accused = bit(bits, 1) ? "n2" : "";
        s.ranks_failed = bit(bits, 2);
        s.failures = failures;
        s.has_checkpoint = bit(bits, 3);
        s.newest_step = 40;
        s.failed_resumes = resumes;
        s.has_older = bit(bits, 4);
        s.older_step = 30;
        s.save_every = bit(bits, 5) ? 10 : 40;
        s.can_reform = bit(bits, 6);
        s.room_for_all = bit(bits, 7);
        s.room_with_accused = bit(bits, 7) || bit(bits, 8);
        s.data_size = 4;
        s.smaller_data = bit(bits, 9) ? 2 : 0;
        if (!Lost(s) && !Accused(s) && !s.room_for_all) continue;  // its own slots are its own
        if (!Accused(s) && s.room_with_accused != s.room_for_all) continue;
        if (s.has_older && !s.has_checkpoint) continue;
        use(s);
      }
    }
  }
}

TEST(Ladder, LossesOfNodesEndAJobOnlyWhenMachinesDoNotExplainThem) {
  Situation s;
  s.ranks_failed = false;
  s.failures = 0;
  s.failures_max = 3;
  const auto hopeless = [&s](uint32_t losses, double expected) {
    s.losses = losses;
    s.losses_expected = expected;
    const bool stops = ChooseRepair(s).rung == v1::RUNG_STOP;
    EXPECT_EQ(stops, IsHopeless(s));
    return stops;
  };
  EXPECT_FALSE(hopeless(1, 0));
  EXPECT_FALSE(hopeless(8, 0.001));
  EXPECT_TRUE(hopeless(9, 0.001)) << "a small job that loses nine nodes one after the other";
  EXPECT_TRUE(hopeless(9, 0.9));
  EXPECT_FALSE(hopeless(9, 1.0)) << "a very large one loses nodes as it must";
  EXPECT_FALSE(hopeless(29, 10));
  EXPECT_TRUE(hopeless(30, 1000)) << "nothing goes on for ever";
  hopeless(9, 0.1);
  EXPECT_EQ(ChooseRepair(s).reason, "giving up after 9 losses of nodes without progress");
}

TEST(FailureRow, CountsLossesOfNodesApart) {
  FailureRow row;
  const CheckpointLedger none;
  const auto lost = [&](const char* node, int64_t start_ms, int64_t lost_ms) {
    row.Add({.outcome = v1::ATTEMPT_OUTCOME_NODE_LOST,
             .node = NodeId(node),
             .text = std::string(node) + " lost",
             .start_unix_ms = start_ms,
             .unix_ms = lost_ms},
            none);
  };
  EXPECT_EQ(row.losses(), 0u);
  lost("n2", 1000, 3000);
  lost("n1", 4000, 9000);
  lost("n2", 9500, 9900);
  EXPECT_EQ(row.losses(), 3u);
  EXPECT_EQ(row.lost(), (std::vector<NodeId>{NodeId("n1"), NodeId("n2")}));
  EXPECT_EQ(row.first_loss(), "n2 lost");
  EXPECT_EQ(row.losses_took_ms(), 8900);
  EXPECT_TRUE(row.accused().empty());
  EXPECT_TRUE(row.nodes().empty()) << "no rank failed there";
  row.Clear();
  EXPECT_EQ(row.losses(), 0u);
}

TEST(Ladder, EverySituationGetsTheRungOfTheTable) {
  std::vector<size_t> used(Table().size());
  size_t situations = 0;
  ForEach([&](const Situation& s) {
    ++situations;
    const Repair repair = ChooseRepair(s);
    for (size_t i = 0; i < Table().size(); ++i) {
      if (!Table()[i].when(s)) continue;
      ++used[i];
      EXPECT_EQ(v1::Rung_Name(repair.rung), v1::Rung_Name(Table()[i].rung))
          << Table()[i].name << ": lost " << s.nodes_lost << " accused " << s.accused
          << " failures " << s.failures << " resumes " << s.failed_resumes << " room "
          << s.room_for_all << s.room_with_accused << " smaller " << s.smaller_data << ": "
          << repair.reason;
      return;
    }
  });
  EXPECT_GT(situations, 5000u);
  for (size_t i = 0; i < used.size(); ++i) EXPECT_GT(used[i], 0u) << Table()[i].name;
}

TEST(Ladder, WhatFollowsIsSaidAndAgreesWithTheRung) {
  ForEach([](const Situation& s) {
    const Repair repair = ChooseRepair(s);
    EXPECT_FALSE(repair.reason.empty());
    EXPECT_EQ(repair.reason.find('\n'), std::string::npos);
    EXPECT_EQ(repair.reason.find("  "), std::string::npos) << repair.reason;
    EXPECT_TRUE(!repair.without_accused || Accused(s)) << repair.reason;
    if (repair.mark_bad) {
      EXPECT_TRUE(repair.from_the_start || s.has_older) << repair.reason;
      EXPECT_GE(s.failed_resumes, kFailedResumesMax) << repair.reason;
    }
    EXPECT_FALSE(repair.rung == v1::RUNG_STOP && repair.mark_bad) << repair.reason;
  });
}

// A rank fails again and again at one place, whatever is tried: how the ladder is climbed.
TEST(Ladder, FailuresInARowClimb) {
  Situation s;
  s.failures_max = 4;
  s.has_checkpoint = true;
  s.newest_step = 40;
  s.has_older = true;
  s.older_step = 30;
  s.can_reform = true;
  s.failures = 1;
  s.failed_resumes = 1;
  EXPECT_EQ(ChooseRepair(s).reason, "re-forming in place from step 40");
  s.can_reform = false;
  EXPECT_EQ(ChooseRepair(s).reason, "restarting on the same nodes from step 40");
  s.failures = 2;
  s.accused = "n2";
  EXPECT_EQ(ChooseRepair(s).reason, "replacing n2 by another node and restarting from step 40");
  s.spare_ready = true;
  EXPECT_EQ(ChooseRepair(s).reason, "replacing n2 by a hot spare and restarting from step 40");
  s.failed_resumes = 2;
  EXPECT_EQ(ChooseRepair(s).reason,
            "2 resumes from step 40 failed: restarting without n2 from step 30");
  s.failures = 4;
  EXPECT_EQ(ChooseRepair(s).reason, "giving up after 4 without progress");
}

// What the nodes' memory holds only the next ranks find out; what is said must be true before.
TEST(Ladder, WhatMemoryMayHoldIsSaidAsSuch) {
  Situation s;
  s.memory = true;
  EXPECT_EQ(ChooseRepair(s).reason, "restarting on the same nodes from step 0 or later");
  s.has_checkpoint = true;
  s.newest_step = 40;
  EXPECT_EQ(ChooseRepair(s).reason, "restarting on the same nodes from step 40 or later");
  s.nodes_lost = 1;
  s.lost = "n2";
  EXPECT_EQ(ChooseRepair(s).reason,
            "replacing n2 by another node and restarting from step 40 or later");
  s.room_for_all = s.room_with_accused = false;
  EXPECT_EQ(ChooseRepair(s).reason,
            "no room without n2: waiting for it, to go on from step 40 or later");
  // Fewer ranks cannot use what more have left, and a step back is one.
  s.data_size = 4;
  s.smaller_data = 2;
  EXPECT_EQ(ChooseRepair(s).reason,
            "no room for all without n2: restarting with data 2 of 4 from step 40");
  s.room_for_all = true;
  s.failures = 2;
  s.failed_resumes = 2;
  s.has_older = true;
  s.older_step = 30;
  EXPECT_EQ(ChooseRepair(s).reason,
            "2 resumes from step 40 failed: restarting without n2 from step 30");
}

TEST(Ladder, TheOnlyCheckpointIsGivenUpOnlyNearTheStart) {
  Situation s;
  s.failures = 2;
  s.has_checkpoint = true;
  s.newest_step = 40;
  s.failed_resumes = 2;
  s.save_every = 20;
  EXPECT_FALSE(MarksNewestBad(s));
  s.newest_step = 20;
  EXPECT_TRUE(MarksNewestBad(s));
  EXPECT_EQ(ChooseRepair(s).reason, "2 resumes from step 20 failed: restarting from the start");
}

TEST(Ladder, WithoutRoomTheMinimumIsSaid) {
  Situation s;
  s.nodes_lost = 2;
  s.lost = "n[1-2]";
  s.room_for_all = s.room_with_accused = false;
  s.data_size = 4;
  s.data_min = 2;
  EXPECT_EQ(ChooseRepair(s).reason,
            "no room without n[1-2], even for data 2, its minimum: waiting for it, to go on from "
            "the start");
  s.smaller_data = 3;
  EXPECT_EQ(ChooseRepair(s).reason,
            "no room for all without n[1-2]: restarting with data 3 of 4 from the start");
}

TEST(Ladder, AnAttemptIsTheHighestRungItCarriesOut) {
  EXPECT_EQ(RungOf({}), v1::RUNG_UNSPECIFIED);
  for (int bits = 0; bits < 16; ++bits) {
    Carried carried{true, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    const v1::Rung wanted = (bits & 1) != 0   ? v1::RUNG_REQUEUE
                            : (bits & 2) != 0 ? v1::RUNG_STEP_BACK
                            : (bits & 4) != 0 ? v1::RUNG_SHRINK
                            : (bits & 8) != 0 ? v1::RUNG_REPLACE
                                              : v1::RUNG_RESTART;
    EXPECT_EQ(RungOf(carried), wanted) << bits;
    carried.after_failure = false;
    EXPECT_EQ(RungOf(carried), v1::RUNG_UNSPECIFIED) << bits;
  }
}

v1::CheckpointRef Ref(uint64_t step, uint64_t attempt) {
  v1::CheckpointRef ref;
  ref.set_step(step);
  ref.set_attempt(attempt);
  return ref;
}

FailedAttempt Failed(const std::string& node, v1::Phase phase, uint64_t first, uint64_t last) {
  return {.outcome = v1::ATTEMPT_OUTCOME_RANK_FAILED,
          .node = NodeId(node),
          .phase = phase,
          .first_step = first,
          .last_step = last,
          .text = ""};
}

TEST(FailureRow, ANodeIsAccusedWhenItFailsTwiceInARow) {
  const CheckpointLedger none;
  FailureRow row;
  row.Add(Failed("n2", v1::PHASE_INIT, 0, 0), none);
  row.Add(Failed("n1", v1::PHASE_INIT, 0, 0), none);
  row.Add(Failed("n2", v1::PHASE_INIT, 0, 0), none);
  EXPECT_TRUE(row.accused().empty());
  FailedAttempt lost = Failed("n1", v1::PHASE_INIT, 0, 0);
  lost.outcome = v1::ATTEMPT_OUTCOME_NODE_LOST;
  row.Add(lost, none);
  row.Add(Failed("n2", v1::PHASE_INIT, 0, 0), none);
  EXPECT_EQ(row.accused(), std::vector<NodeId>{NodeId("n2")});
  EXPECT_EQ(row.nodes(), (std::vector<NodeId>{NodeId("n1"), NodeId("n2")}));
  row.Clear();
  EXPECT_TRUE(row.accused().empty() && row.nodes().empty());
}

TEST(FailureRow, OnlyResumesThatReadTheCheckpointAndGotNoFurtherCount) {
  CheckpointLedger ledger;
  ledger.Commit(Ref(30, 1));
  ledger.Commit(Ref(40, 1));
  FailureRow row;
  row.Add(Failed("n1", v1::PHASE_INIT, 0, 0), ledger);
  EXPECT_EQ(row.FailedResumes(Ref(40, 1)), 0u) << "nothing was read yet";
  row.Add(Failed("n1", v1::PHASE_LOAD, 0, 0), ledger);
  EXPECT_EQ(row.FailedResumes(Ref(40, 1)), 1u);
  row.Add(Failed("n1", v1::PHASE_STEP, 40, 40), ledger);
  EXPECT_EQ(row.FailedResumes(Ref(40, 1)), 2u);
  row.Add(Failed("n1", v1::PHASE_STEP, 30, 30), ledger);
  EXPECT_EQ(row.FailedResumes(Ref(40, 1)), 0u) << "another was used";
  EXPECT_EQ(row.FailedResumes(Ref(30, 1)), 1u);
  row.Add(Failed("n1", v1::PHASE_STEP, 30, 31), ledger);
  EXPECT_EQ(row.FailedResumes(Ref(30, 1)), 0u) << "it got further";
}

}  // namespace
}  // namespace muster::coordinator::core
