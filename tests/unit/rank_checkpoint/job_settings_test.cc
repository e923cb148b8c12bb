#include "rank/checkpoint/job_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "tests/support/temp_folder.h"

namespace muster::rank {
namespace {

using testing::HasSubstr;

class JobSettingsTest : public testing::Test {
 protected:
  absl::StatusOr<JobSettings> Read() {
    return ReadJobSettings([this](const char* name) { return variables_[name]; });
  }
  void Give(const char* variable, const std::string& text) {
    variables_[variable] = folder_.File(variable);
    std::ofstream(folder_.File(variable)) << text;
  }

  TempFolder folder_;
  std::map<std::string, std::string> variables_;
};

TEST_F(JobSettingsTest, WithoutAFolderThereAreNoCheckpoints) {
  variables_["MUSTER_JOB_FILE"] = "/no such file";
  const auto settings = Read();
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->checkpoints, "");
}

TEST_F(JobSettingsTest, AFolderAloneIsEnough) {
  variables_["MUSTER_CHECKPOINTS"] = "/ck/1";
  const auto settings = Read();
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->checkpoints, "/ck/1");
  EXPECT_FALSE(settings->attempt.has_value());
  EXPECT_FALSE(settings->permitted.has_value());
  EXPECT_EQ(settings->keep, 3u);
  EXPECT_EQ(settings->vault.folder, "");
}

TEST_F(JobSettingsTest, ReadsAllThatAWorkerSays) {
  variables_ = {{"MUSTER_CHECKPOINTS", "/ck/u1"}, {"MUSTER_JOB_UID", "u1"},
                {"MUSTER_ATTEMPT", "4"},          {"MUSTER_MESH", "ranks=4"},
                {"MUSTER_VAULT", "/v/u1"},        {"MUSTER_VAULT_BYTES", "1000"},
                {"MUSTER_VAULT_SINCE", "2"},      {"MUSTER_VAULT_DRAINS", "1"},
                {"MUSTER_VAULT_REPLICATED", "1"}};
  Give("MUSTER_RESUME_FILE",
       R"([{"step":7,"attempt":3,"manifest_sha256":")" + std::string(64, 'a') + R"("}])");
  Give("MUSTER_JOB_FILE",
       R"({"checkpoint":{"path":"/ck","every_steps":40,"every":"1m30s","ram_every_steps":2,)"
       R"("keep":5,"keep_every_steps":80,"init_from":"/old"}})");
  const auto settings = Read();
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->attempt, 4u);
  ASSERT_TRUE(settings->permitted.has_value());
  ASSERT_EQ(settings->permitted->size(), 1u);
  EXPECT_EQ(settings->permitted->front().id.step, 7u);
  EXPECT_EQ(settings->every_steps, 40u);
  EXPECT_EQ(settings->every_seconds, 90);
  EXPECT_EQ(settings->ram_every_steps, 2u);
  EXPECT_EQ(settings->keep, 5u);
  EXPECT_EQ(settings->keep_every_steps, 80u);
  EXPECT_EQ(settings->init_from, "/old");
  EXPECT_EQ(settings->vault.bytes, 1000u);
  EXPECT_EQ(settings->vault.since, 2u);
  EXPECT_TRUE(settings->vault.worker_drains && settings->vault.replicated);
  EXPECT_EQ(settings->digest.size(), 64u);
}

TEST_F(JobSettingsTest, SaysWhatIsWrong) {
  variables_["MUSTER_CHECKPOINTS"] = "/ck";
  const struct {
    const char* document;
    const char* words;
  } cases[] = {
      {"not json", "not a job document"},
      {R"({"checkpoint": 3})", "checkpoint must be a section"},
      {R"({"checkpoint": {"every_steps": -1}})", "checkpoint.every_steps must be a whole number"},
      {R"({"checkpoint": {"every": "soon"}})", "checkpoint.every must be a duration"},
      {R"({"checkpoint": {"init_from": 7}})", "checkpoint.init_from must be a text"},
  };
  for (const auto& c : cases) {
    Give("MUSTER_JOB_FILE", c.document);
    const auto settings = Read();
    EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << c.document;
    EXPECT_THAT(std::string(settings.status().message()), HasSubstr(c.words)) << c.document;
  }
  variables_["MUSTER_JOB_FILE"] = folder_.File("missing");
  EXPECT_FALSE(Read().ok());
}

}  // namespace
}  // namespace muster::rank
