#include "coordinator/core/quarantine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>

namespace muster::coordinator::core {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kStart = 1'700'000'000'000;

std::string Word(v1::Quarantine quarantine) {
  return v1::Quarantine_Name(quarantine).substr(sizeof "QUARANTINE_" - 1);
}

// ---- the machine, against a written table

using In = QuarantineInput;

struct Row {
  std::string name;  // of what the node is in
  QuarantineFacts facts;
  // By input, in the order of the enum; "-": nothing changes.
  std::array<std::string, 8> next;
};

QuarantineFacts Facts(v1::Quarantine now, bool room = true) {
  QuarantineFacts facts;
  facts.now = now;
  facts.room = room;
  return facts;
}

QuarantineFacts Testing(v1::Quarantine before, bool by_person = false, bool endless = false) {
  QuarantineFacts facts = Facts(v1::QUARANTINE_TESTING);
  facts.before_test = before;
  facts.by_person = by_person;
  facts.endless = endless;
  return facts;
}

QuarantineFacts CoolingBy(bool by_person, bool endless) {
  QuarantineFacts facts = Facts(v1::QUARANTINE_COOLING);
  facts.by_person = by_person;
  facts.endless = endless;
  return facts;
}

TEST(Quarantine, EveryStateAndInput) {
  const v1::Quarantine kNone = v1::QUARANTINE_NONE;
  const v1::Quarantine kCooling = v1::QUARANTINE_COOLING;
  const v1::Quarantine kProbation = v1::QUARANTINE_PROBATION;
  const v1::Quarantine kAdvised = v1::QUARANTINE_ADVISED;
  const Row rows[] = {
      // guilty, cleared, time up, passed, failed; a person cools, releases, tests
      {"none, room", Facts(kNone), {"COOLING", "-", "-", "-", "-", "COOLING", "-", "TESTING"}},
      {"none, no room",
       Facts(kNone, false),
       {"ADVISED", "-", "-", "-", "-", "COOLING", "-", "TESTING"}},
      {"cooling",
       CoolingBy(false, false),
       {"-", "NONE", "TESTING", "-", "-", "COOLING", "NONE", "TESTING"}},
      {"cooling for a while by a person",
       CoolingBy(true, false),
       {"-", "-", "TESTING", "-", "-", "COOLING", "NONE", "TESTING"}},
      {"cooling by a person, no end",
       CoolingBy(true, true),
       {"-", "-", "-", "-", "-", "COOLING", "NONE", "TESTING"}},
      {"testing after a cool-down",
       Testing(kCooling),
       {"-", "NONE", "-", "PROBATION", "COOLING", "COOLING", "NONE", "-"}},
      {"testing in a person's quarantine without end",
       Testing(kCooling, true, true),
       {"-", "-", "-", "COOLING", "COOLING", "COOLING", "NONE", "-"}},
      {"testing a node that works",
       Testing(kNone, true),
       {"-", "-", "-", "NONE", "COOLING", "COOLING", "NONE", "-"}},
      {"testing on probation",
       Testing(kProbation, true),
       {"-", "-", "-", "PROBATION", "COOLING", "COOLING", "NONE", "-"}},
      {"testing an advised node",
       Testing(kAdvised, true),
       {"-", "-", "-", "PROBATION", "COOLING", "COOLING", "NONE", "-"}},
      {"probation, room",
       Facts(kProbation),
       {"COOLING", "-", "NONE", "-", "-", "COOLING", "NONE", "TESTING"}},
      {"probation, no room",
       Facts(kProbation, false),
       {"ADVISED", "-", "NONE", "-", "-", "COOLING", "NONE", "TESTING"}},
      {"advised, room",
       Facts(kAdvised),
       {"COOLING", "NONE", "-", "-", "-", "COOLING", "NONE", "TESTING"}},
      {"advised, no room",
       Facts(kAdvised, false),
       {"-", "NONE", "-", "-", "-", "COOLING", "NONE", "TESTING"}},
  };
  for (const Row& row : rows) {
    for (size_t input = 0; input < row.next.size(); ++input) {
      const auto next = NextQuarantine(row.facts, static_cast<In>(input));
      EXPECT_EQ(next ? Word(*next) : "-", row.next[input]) << row.name << ", input " << input;
    }
  }
}

// ---- the score

struct Node {
  NodeHealth health;
  QuarantineOptions options;
  int64_t now = kStart;

  void Add(Fault::Kind kind, uint64_t job, double weight, uint64_t program = 1) {
    Fault fault;
    fault.kind = kind;
    fault.unix_ms = now;
    fault.weight = weight;
    fault.jobs = {job};
    fault.group = job;
    fault.program = program;
    fault.text = "text";
    AddFault(health, fault, options);
  }
  double Sum() const { return Score(health, now, options); }
  bool Guilty() const { return Sum() >= options.guilty_score; }
};

TEST(Quarantine, ALossCountsEachTimeAndFades) {
  Node node;
  node.Add(Fault::Kind::kLost, 1, kLostWeight);
  EXPECT_DOUBLE_EQ(node.Sum(), 0.9);
  EXPECT_FALSE(node.Guilty());
  node.now += 24 * kHourMs;
  EXPECT_NEAR(node.Sum(), 0.45, 1e-12) << "half after a half-life";
  node.Add(Fault::Kind::kLost, 1, kLostWeight);
  EXPECT_NEAR(node.Sum(), 1.35, 1e-12);
  EXPECT_FALSE(node.Guilty()) << "two losses a day apart";
  Node flapping;
  flapping.Add(Fault::Kind::kLost, 1, kLostWeight);
  flapping.now += 2 * kHourMs;
  flapping.Add(Fault::Kind::kLost, 1, kLostWeight);
  EXPECT_TRUE(flapping.Guilty()) << "two within hours";
}

TEST(Quarantine, OneJobThatCrashesForEverAccusesOnce) {
  Node node;
  for (int i = 0; i < 20; ++i) {
    node.now += kHourMs / 4;
    node.Add(Fault::Kind::kHint, 1, 0.5);
    node.Add(Fault::Kind::kProgram, 1, 0.5);
    EXPECT_FALSE(node.Guilty()) << "failure " << i;
  }
}

TEST(Quarantine, DifferentJobsAreWorseThanTheSameOne) {
  Node same, different;
  same.Add(Fault::Kind::kMachine, 1, 0.6);
  different.Add(Fault::Kind::kMachine, 1, 0.6);
  same.now = different.now += kHourMs;
  same.Add(Fault::Kind::kMachine, 1, 0.6);
  different.Add(Fault::Kind::kMachine, 2, 0.6);
  EXPECT_NEAR(different.Sum(), 1.5 * same.Sum(), 1e-12);
}

TEST(Quarantine, OneEventOfSeveralJobsCountsOnce) {
  Node node;
  node.Add(Fault::Kind::kHint, 1, 0.5);
  node.now += 3'000;
  node.Add(Fault::Kind::kMachine, 2, 0.8);
  ASSERT_EQ(node.health.faults.size(), 1u);
  EXPECT_EQ(node.health.faults[0].jobs, (std::vector<uint64_t>{1, 2}));
  EXPECT_NEAR(node.Sum(), 0.8, 1e-4) << "the stronger evidence of the two";
}

TEST(Quarantine, ProbationDoublesWhatIsNew) {
  Node node;
  node.health.quarantine = v1::QUARANTINE_PROBATION;
  node.Add(Fault::Kind::kLost, 1, kLostWeight);
  EXPECT_TRUE(node.Guilty());
}

TEST(Quarantine, TakingBackSparesStrongEvidenceUnlessAllIsMeant) {
  Node node;
  node.Add(Fault::Kind::kLost, 1, kLostWeight, 7);
  node.now += 60'000;
  node.Add(Fault::Kind::kHint, 1, 0.5, 7);
  node.now += 60'000;
  node.Add(Fault::Kind::kHint, 2, 0.5, 8);
  ASSERT_EQ(node.health.faults.size(), 3u);
  TakeBack(node.health, 7, false, "elsewhere too");
  EXPECT_TRUE(node.health.faults[0].taken_back.empty());
  EXPECT_EQ(node.health.faults[1].taken_back, "elsewhere too");
  EXPECT_TRUE(node.health.faults[2].taken_back.empty()) << "another program's";
  TakeBack(node.health, 7, true, "takes machines down");
  EXPECT_EQ(node.health.faults[0].taken_back, "takes machines down");
  EXPECT_EQ(node.health.faults[1].taken_back, "elsewhere too") << "the first reason stays";
}

TEST(Quarantine, TheScoreIsTheSumOfWhatEachCountsAndOnlyFallsWithTime) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto below = [&random](uint64_t n) { return random() % n; };
    Node node;
    for (int i = 0; i < 60; ++i) {
      node.now += static_cast<int64_t>(below(6 * kHourMs));
      node.Add(static_cast<Fault::Kind>(below(4)), 1 + below(5), 0.1 + 0.1 * double(below(10)),
               below(3));
      if (below(8) == 0) TakeBack(node.health, below(3), below(2) == 0, "back");
      if (below(12) == 0) Vouch(node.health, "fine");
      const std::vector<double> counts = Counts(node.health, node.now, node.options);
      ASSERT_EQ(counts.size(), node.health.faults.size());
      double sum = 0;
      for (size_t f = 0; f < counts.size(); ++f) {
        EXPECT_GE(counts[f], 0);
        if (!node.health.faults[f].taken_back.empty()) {
          EXPECT_EQ(counts[f], 0);
        }
        sum += counts[f];
      }
      EXPECT_DOUBLE_EQ(sum, node.Sum());
      const double later = Score(node.health, node.now + kHourMs, node.options);
      EXPECT_LE(later, node.Sum() + 1e-12);
      EXPECT_LE(node.health.faults.size(), kFaultsKept);
    }
  }
}

// ---- in a row

TEST(Streaks, CountsNodesOfOneWayUntilThereIsProgress) {
  Streaks streaks;
  EXPECT_TRUE(streaks.Failed(1, "exit 1", NodeId("n1"), 0));
  EXPECT_FALSE(streaks.Failed(1, "exit 1", NodeId("n1"), 1));
  EXPECT_TRUE(streaks.Failed(1, "exit 1", NodeId("n2"), 2));
  EXPECT_EQ(streaks.Nodes(1).size(), 2u);
  EXPECT_TRUE(streaks.Failed(1, "signal 11", NodeId("n2"), 3)) << "another way: a new row";
  EXPECT_EQ(streaks.Nodes(1).size(), 1u);
  streaks.Failed(1, "signal 11", NodeId("n3"), 4);
  streaks.Withdraw(1, NodeId("n3"));
  EXPECT_EQ(streaks.Nodes(1).size(), 1u);
  streaks.Progressed(1);
  EXPECT_TRUE(streaks.Failed(1, "signal 11", NodeId("n2"), 5));
}

TEST(Streaks, KeepsTheYoungestPrograms) {
  Streaks streaks;
  for (uint64_t program = 0; program < 5000; ++program) {
    streaks.Failed(program, "exit 1", NodeId("n1"), static_cast<int64_t>(program));
  }
  EXPECT_FALSE(streaks.Failed(4999, "exit 1", NodeId("n1"), 5001));
  EXPECT_TRUE(streaks.Failed(0, "exit 1", NodeId("n1"), 5002)) << "forgotten";
}

// ---- who is accused

struct Said {
  std::string name;
  v1::AttemptOutcome outcome;
  v1::Blame blame;
  double confidence;
  int exit_code;
  int signal;
  std::string kind;  // "-" = nobody
};

TEST(Quarantine, WhatAFailureSaysOfTheNode) {
  const auto kRank = v1::ATTEMPT_OUTCOME_RANK_FAILED;
  const auto kLost = v1::ATTEMPT_OUTCOME_NODE_LOST;
  const Said table[] = {
      {"a loss", kLost, v1::BLAME_UNSPECIFIED, 0, 0, 0, "lost 0.9"},
      {"a signal, nobody blamed", kRank, v1::BLAME_UNSPECIFIED, 0, 0, 11, "hint 0.5"},
      {"an exit, nobody blamed", kRank, v1::BLAME_UNSPECIFIED, 0, 1, 0, "program 0.5"},
      {"the machine, by how a rank ended", kRank, v1::BLAME_MACHINE, 0.8, 0, 9, "hint 0.8"},
      {"the machine, perhaps", kRank, v1::BLAME_MACHINE, 0.3, 0, 9, "hint 0.5"},
      {"the program, by a signal", kRank, v1::BLAME_PROGRAM, 0.9, 0, 11, "program 0.5"},
      {"the checkpoint", kRank, v1::BLAME_CHECKPOINT, 0.9, 1, 0, "-"},
      {"drained", v1::ATTEMPT_OUTCOME_DRAINED, v1::BLAME_UNSPECIFIED, 0, 0, 0, "-"},
      {"cancelled", v1::ATTEMPT_OUTCOME_CANCELLED, v1::BLAME_MACHINE, 1, 0, 0, "-"},
  };
  const std::map<Fault::Kind, std::string> words = {{Fault::Kind::kLost, "lost"},
                                                    {Fault::Kind::kMachine, "machine"},
                                                    {Fault::Kind::kHint, "hint"},
                                                    {Fault::Kind::kProgram, "program"}};
  for (const Said& said : table) {
    v1::AttemptStopping stopping;
    stopping.set_outcome(said.outcome);
    stopping.set_blame(said.blame);
    stopping.set_confidence(said.confidence);
    stopping.mutable_cause()->set_node("n1");
    stopping.mutable_cause()->set_has_rank(said.outcome == kRank);
    stopping.mutable_cause()->set_exit_code(said.exit_code);
    stopping.mutable_cause()->set_signal(said.signal);
    const auto accusation = AccusationOf(stopping);
    std::string text = "-";
    if (accusation) {
      text = words.at(accusation->kind) + " " + std::to_string(accusation->weight).substr(0, 3);
    }
    EXPECT_EQ(text, said.kind) << said.name;
    if (said.name == "the machine, by how a rank ended") {
      v1::Evidence* evidence = stopping.add_evidence();
      evidence->set_role(v1::EVIDENCE_ROLE_ROOT);
      evidence->set_kind(v1::EVIDENCE_KIND_DEVICE_ERROR);
      EXPECT_EQ(AccusationOf(stopping)->kind, Fault::Kind::kMachine) << "a device said so";
    }
    stopping.mutable_cause()->clear_node();
    EXPECT_FALSE(AccusationOf(stopping)) << said.name << ", no node named";
  }
}

// ---- limits

TEST(Quarantine, TheShareIsAtLeastOneNodeButNeverTheLast) {
  QuarantineOptions options;
  EXPECT_EQ(QuarantineLimit(0, options), 0u);
  EXPECT_EQ(QuarantineLimit(1, options), 0u);
  EXPECT_EQ(QuarantineLimit(2, options), 1u);
  EXPECT_EQ(QuarantineLimit(39, options), 1u);
  EXPECT_EQ(QuarantineLimit(40, options), 2u);
  EXPECT_EQ(QuarantineLimit(1875, options), 93u);
  options.share = 0;
  EXPECT_EQ(QuarantineLimit(1875, options), 0u);
}

TEST(Quarantine, EachQuarantineWithinAWeekDoublesTheCoolDown) {
  QuarantineOptions options;
  NodeHealth health;
  int64_t now = kStart;
  for (const int minutes : {30, 60, 120, 240, 480, 960, 1440, 1440}) {
    EXPECT_EQ(CoolDown(health, now, options), absl::Minutes(minutes));
    health.coolings.push_back(now);
    now += kHourMs;
  }
  EXPECT_EQ(CoolDown(health, now + int64_t{8} * 24 * kHourMs, options), absl::Minutes(30));
}

TEST(Quarantine, EqualProgramsHaveEqualNumbers) {
  v1::JobSpec a, b;
  a.mutable_program()->add_command("train");
  b.mutable_program()->add_command("train");
  b.set_name("other");
  EXPECT_EQ(ProgramOf(a), ProgramOf(b));
  b.mutable_program()->add_command("--fast");
  EXPECT_NE(ProgramOf(a), ProgramOf(b));
}

}  // namespace
}  // namespace muster::coordinator::core
