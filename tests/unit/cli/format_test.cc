// What people and scripts read.
#include <gtest/gtest.h>

#include "cli/job_text.h"
#include "cli/progress_line.h"
#include "cli/proto_json.h"
#include "cli/rank_set.h"
#include "cli/wait_goal.h"

namespace muster::cli {
namespace {

v1::Job RunningJob() {
  v1::Job job;
  job.set_id(7);
  job.set_uid("gpt-7-a1b2c3");
  job.mutable_spec()->set_name("gpt");
  v1::Axis* axis = job.mutable_spec()->add_mesh();
  axis->set_name("data");
  axis->set_size(2);
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_reason("attempt 1 runs");
  job.set_submit_unix_ms(1'000'000);
  v1::Progress* progress = job.mutable_progress();
  progress->set_step(40);
  progress->set_target_steps(200);
  progress->set_loss(2.5);
  progress->set_tokens_per_second(5200);
  progress->set_step_seconds(0.5);
  progress->set_phase(v1::PHASE_STEP);
  return job;
}

TEST(Table, AlignsAndNeverLeavesBlanks) {
  Table table({"A", "LONG NAME", "Z"});
  table.AddRow({"one", "x", ""});
  table.AddRow({"\x1b[31mü", "yy", "end"});
  EXPECT_EQ(table.Text(), "A       LONG NAME  Z\none     x\n?[31mü  yy         end\n");
}

TEST(JobTable, OneLineAJob) {
  v1::ListJobsResponse jobs;
  *jobs.add_jobs() = RunningJob();
  EXPECT_EQ(JobTable(jobs, 1'065'000, false),
            "ID  NAME  STATE    MESH    STEP    LOSS    AGE     REASON\n"
            "7   gpt   running  data=2  40/200  2.5000  65.0 s  attempt 1 runs\n");
  EXPECT_NE(JobTable(jobs, 1'065'000, true).find("gpt-7-a1b2c3"), std::string::npos);
}

TEST(PlacementText, GroupsRanksByNode) {
  v1::PlanJobResponse plan;
  uint32_t first = 0;
  for (const auto& [node, ranks] :
       {std::pair("n1", 3u), std::pair("n2", 1u), std::pair("n3", 1u)}) {
    v1::NodeShare* share = plan.add_shares();
    share->set_node(node);
    share->set_first_rank(first);
    share->set_ranks(ranks);
    first += ranks;
  }
  EXPECT_EQ(PlacementText(plan.shares()), "ranks 0-2 on n1, rank 3 on n2, rank 4 on n3");
}

TEST(ProgressText, HowFarHowFastHowLong) {
  EXPECT_EQ(ProgressText(RunningJob().progress()),
            "step 40/200  loss 2.5000  5.2k tokens/s  eta 80.0 s");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(1.5e6), "1.5M");
  EXPECT_EQ(BytesText(1023), "1023 B");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BarText(0, 0), "[                              ]   0 %  0 B of 0 B");
  EXPECT_EQ(BarText(1024, 2048), "[===============               ]  50 %  1.0 KiB of 2.0 KiB");
}

TEST(MessageJson, EveryFieldEveryTime) {
  v1::CheckpointRef ref;
  ref.set_step(18446744073709551615u);
  ref.set_manifest_sha256(std::string("\x00\xff", 2));
  EXPECT_EQ(JsonText(MessageJson(ref), -1),
            "{\"step\":18446744073709551615,\"attempt\":0,\"manifest_sha256\":\"00ff\","
            "\"bytes\":0,\"committed\":false,\"time_unix_ms\":0,\"bad\":false}");
  const auto job = MessageJson(RunningJob());
  EXPECT_EQ(job["state"], "running");
  EXPECT_TRUE(job["ledger"].is_null());
  EXPECT_TRUE(job["attempts"].is_array());
  EXPECT_FALSE(job["spec"].contains("train"));  // the unset side of a oneof
  v1::Progress progress;
  progress.set_loss(std::nan(""));
  EXPECT_TRUE(MessageJson(progress)["loss"].is_null());
}

TEST(WaitGoal, JudgesEveryState) {
  v1::Job job = RunningJob();
  const auto judge = [&job](const char* goal) { return JudgeWait(*ParseWaitGoal(goal), job); };
  EXPECT_EQ(judge("succeeded"), WaitVerdict::kNotYet);
  EXPECT_EQ(judge("running"), WaitVerdict::kReached);
  EXPECT_EQ(judge("step=40"), WaitVerdict::kReached);
  EXPECT_EQ(judge("step=41"), WaitVerdict::kNotYet);
  job.set_state(v1::JOB_STATE_FAILED);
  EXPECT_EQ(judge("succeeded"), WaitVerdict::kNever);
  EXPECT_EQ(judge("running"), WaitVerdict::kNever);
  EXPECT_EQ(judge("step=41"), WaitVerdict::kNever);
  EXPECT_EQ(judge("ended"), WaitVerdict::kReached);
  for (const char* bad : {"", "step=", "step=-1", "step=x", "done"}) {
    EXPECT_FALSE(ParseWaitGoal(bad).ok()) << bad;
  }
}

TEST(ParseRankSet, TakesWhatPeopleWrite) {
  EXPECT_EQ(*ParseRankSet("0-2,5", 8), (std::set<uint32_t>{0, 1, 2, 5}));
  EXPECT_TRUE(ParseRankSet("", 8)->empty());
  for (const char* bad : {"8", "a", "2-1", "-", "1,", "0-99999999999"}) {
    EXPECT_FALSE(ParseRankSet(bad, 8).ok()) << bad;
  }
}

TEST(EventLine, ShowsTheLastWordsOfAFailure) {
  v1::JobEvent event;
  event.set_kind(v1::EVENT_KIND_FAILURE);
  event.set_text("rank 3 killed");
  event.mutable_cause()->add_last_lines("out of \x07 luck");
  const std::string line = EventLine(event);
  EXPECT_NE(line.find("failure       rank 3 killed"), std::string::npos) << line;
  EXPECT_NE(line.find("| out of ? luck"), std::string::npos) << line;
}

}  // namespace
}  // namespace muster::cli
