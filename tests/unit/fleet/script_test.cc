#include "fleet/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::fleet {
namespace {

using ::testing::HasSubstr;

TEST(Script, KeepsEveryRuleWithItsTime) {
  const auto script = ParseScript(
      "# a comment\n"
      "step 0.5s\n"
      "\n"
      "save every 100 steps\n"
      "steps 1000  # then the programs end\n"
      "at 10s kill-rank job=1 rank=3\n"
      "every 30s fail 1% of workers silently\n"
      "at 5s slow 2% of workers by 300ms\n");
  ASSERT_TRUE(script.ok()) << script.status();
  EXPECT_EQ(script->step_ms, 500);
  EXPECT_EQ(script->save_steps, 100U);
  EXPECT_EQ(script->steps, 1000U);
  ASSERT_EQ(script->rules.size(), 3U);
  EXPECT_EQ(script->rules[0].what, Rule::What::kKillRank);
  EXPECT_EQ(script->rules[0].at_ms, 10'000);
  EXPECT_EQ(script->rules[0].every_ms, 0);
  EXPECT_EQ(script->rules[0].job, 1U);
  EXPECT_EQ(script->rules[0].rank, 3U);
  EXPECT_EQ(script->rules[1].what, Rule::What::kSilent);
  EXPECT_EQ(script->rules[1].at_ms, 30'000);
  EXPECT_EQ(script->rules[1].every_ms, 30'000);
  EXPECT_TRUE(script->rules[1].percent);
  EXPECT_EQ(script->rules[1].count, 1);
  EXPECT_EQ(script->rules[2].what, Rule::What::kSlow);
  EXPECT_EQ(script->rules[2].by_ms, 300);
}

TEST(Script, NamesTheLineItCannotRead) {
  for (const char* bad :
       {"step", "step 0s", "save every ten steps", "at kill-rank job=1 rank=3", "at 1s kill-rank",
        "at 1s fail 3 workers loudly", "every 0s fail 1 worker silently", "fail 1% of workers"}) {
    const auto script = ParseScript(std::string("step 1s\n") + bad);
    ASSERT_FALSE(script.ok()) << bad;
    EXPECT_THAT(std::string(script.status().message()),
                HasSubstr(std::string("line 2: \"") + bad + "\""));
  }
}

TEST(Rule, IsReadWithoutItsTime) {
  const auto fail = ParseRule("fail 5 workers disconnecting");
  ASSERT_TRUE(fail.ok()) << fail.status();
  EXPECT_EQ(fail->what, Rule::What::kDisconnect);
  EXPECT_EQ(fail->count, 5);
  EXPECT_FALSE(fail->percent);
  EXPECT_EQ(fail->at_ms, 0);
  const auto hang = ParseRule("hang-rank job=7 rank=0");
  ASSERT_TRUE(hang.ok()) << hang.status();
  EXPECT_EQ(hang->what, Rule::What::kHangRank);
  EXPECT_EQ(hang->job, 7U);
}

TEST(Rule, WithATimeOrOfAScriptIsRefused) {
  for (const char* bad : {"", "# nothing", "at 1s fail 5 workers silently", "step 1s", "fail"}) {
    const auto rule = ParseRule(bad);
    ASSERT_FALSE(rule.ok()) << bad;
    EXPECT_THAT(std::string(rule.status().message()), HasSubstr("is none of"));
  }
}

}  // namespace
}  // namespace muster::fleet
