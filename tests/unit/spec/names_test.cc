#include <gtest/gtest.h>

#include "muster/v1/job.pb.h"
#include "muster/v1/node.pb.h"
#include "spec/enum_word.h"
#include "spec/nearest_name.h"

namespace muster::spec {
namespace {

TEST(EnumWord, DropsThePrefixAndShouts) {
  EXPECT_EQ(EnumWord(v1::JOB_STATE_RUNNING), "running");
  EXPECT_EQ(EnumWord(v1::ATTEMPT_OUTCOME_RANK_FAILED), "rank_failed");
  EXPECT_EQ(EnumWord(v1::DOMAIN_NODE), "node");
  EXPECT_EQ(EnumWord(v1::JOB_STATE_UNSPECIFIED), "unspecified");
  EXPECT_EQ(EnumWord(static_cast<v1::JobState>(99)), "99");
}

TEST(EnumWord, IsFoundAgain) {
  const auto* type = v1::NodeAdmission_descriptor();
  EXPECT_EQ(EnumWords(type), (std::vector<std::string>{"open", "cordoned", "draining", "drained"}));
  for (const std::string& word : EnumWords(type)) {
    ASSERT_NE(FindEnumWord(type, word), nullptr);
    EXPECT_EQ(EnumWord(type, FindEnumWord(type, word)->number()), word);
  }
  EXPECT_EQ(FindEnumWord(type, "unspecified"), nullptr);
  EXPECT_EQ(FindEnumWord(type, "OPEN"), nullptr);
}

TEST(NearestName, ForgivesATypoAndNoMore) {
  const std::vector<std::string> known = {"train", "program", "mesh", "name"};
  EXPECT_EQ(NearestName("trian", known), "train");
  EXPECT_EQ(NearestName("programs", known), "program");
  EXPECT_EQ(NearestName("mess", known), "mesh");
  EXPECT_EQ(NearestName("colour", known), "");
  EXPECT_EQ(NearestName("x", {"a", "b"}), "");
  EXPECT_EQ(NearestName("", known), "");
  EXPECT_EQ(NearestName(std::string(100'000, 'a'), known), "");
}

}  // namespace
}  // namespace muster::spec
