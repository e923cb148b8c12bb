// What a job asks of the cluster and why it waits, as people read it.
#include "cli/schedule_text.h"

#include <gtest/gtest.h>

#include "cli/job_text.h"
#include "cli/node_text.h"
#include "spec/yaml.h"

namespace muster::cli {
namespace {

v1::Job QueuedJob() {
  v1::Job job;
  *job.mutable_spec() = spec::ParseAndValidateJobFile(R"(apiVersion: muster/v1
kind: TrainJob
name: sweep-3
mesh: {data: 4, tensor: {size: 8, within: nvlink}}
resources: {device: H100, exclusive: true}
placement:
  select: {zone: a}
  exclude: ["n[3-5]"]
  tolerate: [maintenance]
  spread: {axis: data, across: rack, at_least: 2}
schedule:
  queue: research
  priority: 10
  time_limit: 4h
  preempt_grace: 90s
  after: [prep, {job: 12, when: ended}]
  array: {count: 10, at_once: 2}
recovery: {hot_spares: 1, spare_share: 0.1, lend_spares: true}
program: {command: [./train]}
)",
                                                      "f")
                            .value();
  job.set_id(15);
  job.set_uid("sweep-3-15-c");
  job.set_state(v1::JOB_STATE_QUEUED);
  job.set_reason("waiting: job 12 has not ended");
  job.set_array_id(12);
  job.set_array_index(3);
  job.set_held(true);
  job.add_unblock("job 12 ends");
  job.set_start_estimate_unix_ms(60'000 + 1);
  job.set_submit_unix_ms(1);
  return job;
}

TEST(JobDescription, SaysWhatItAsksForAndWhyItWaits) {
  EXPECT_EQ(JobDescription(QueuedJob(), 1),
            "Job:          15 (sweep-3-15-c)\n"
            "State:        queued (held): waiting: job 12 has not ended\n"
            "  start       in about 60.0 s (1970-01-01 00:01:00 UTC)\n"
            "  unblock     job 12 ends\n"
            "Mesh:         data=4,tensor=8 (within nvlink) (32 ranks, 1 slot each)\n"
            "Submitted:    1970-01-01 00:00:00 UTC by -, 0 ms ago\n"
            "Queue:        research, priority 10, number 3 of array 12, at most 2 at once\n"
            "Limits:       4h an attempt, 1m30s to save when it gives way\n"
            "After:        job prep succeeded, job 12 ended\n"
            "Nodes:        device H100, to itself, zone=a, not n[3-5], tolerates maintenance, data "
            "spread across racks, 2 at least\n"
            "Spares:       1 node, or 10 % of its nodes, lent to preemptible jobs\n");
}

TEST(JobDescription, OfARunningJobShowsNoWait) {
  v1::Job job = QueuedJob();
  job.set_state(v1::JOB_STATE_RUNNING);
  EXPECT_EQ(WaitText(job, 1), "");
  job.mutable_spec()->mutable_schedule()->set_preemptible(false);
  EXPECT_NE(ScheduleText(job).find("gives way to nobody"), std::string::npos);
}

TEST(JobTable, ShowsQueuesAndPrioritiesOnlyWhereUsed) {
  v1::ListJobsResponse jobs;
  *jobs.add_jobs() = QueuedJob();
  const std::string used = JobTable(jobs, 1, false);
  EXPECT_EQ(used.substr(0, used.find('\n')),
            "ID  NAME     STATE          QUEUE     PRIORITY  MESH             STEP  LOSS  AGE   "
            "REASON");
  jobs.mutable_jobs(0)->mutable_spec()->clear_schedule();
  const std::string plain = JobTable(jobs, 1, false);
  EXPECT_EQ(plain.find("QUEUE"), std::string::npos) << plain;
  EXPECT_EQ(plain.find("PRIORITY"), std::string::npos) << plain;
}

TEST(PlacementText, FoldsRowsOfManyNodes) {
  google::protobuf::RepeatedPtrField<v1::NodeShare> shares;
  const auto add = [&shares](const std::string& node, uint32_t ranks) {
    const uint32_t first =
        shares.empty() ? 0
                       : shares[shares.size() - 1].first_rank() + shares[shares.size() - 1].ranks();
    v1::NodeShare* share = shares.Add();
    share->set_node(node);
    share->set_first_rank(first);
    share->set_ranks(ranks);
  };
  add("n1", 8);
  add("n2", 8);
  EXPECT_EQ(PlacementText(shares), "ranks 0-7 on n1, ranks 8-15 on n2");
  add("n3", 8);
  add("n9", 8);
  add("n8", 8);
  add("n10", 1);
  EXPECT_EQ(PlacementText(shares),
            "ranks 0-23 on n[1-3] (8 each), ranks 24-31 on n9, ranks 32-39 on n8, rank 40 on n10");
  add("n11", 1);
  add("head", 1);
  EXPECT_NE(PlacementText(shares).find("ranks 40-41 on n[10-11] (1 each), rank 42 on head"),
            std::string::npos)
      << PlacementText(shares);
}

TEST(NodeTable, WideSaysWhereItSitsAndForWhom) {
  v1::ListNodesResponse nodes;
  v1::Node* node = nodes.add_nodes();
  node->set_name("n1");
  node->mutable_location()->set_nvlink("s1");
  node->mutable_location()->set_rack("r1");
  v1::Label* label = node->add_labels();
  label->set_name("zone");
  label->set_value("a");
  node->add_taints("maintenance");
  node->add_taints("loud");
  node->set_spare_for(7);
  const std::string text = NodeTable(nodes, 1, true);
  EXPECT_NE(text.find("NVLINK  RACK  POD  LABELS  TAINTS            SPARE FOR"), std::string::npos)
      << text;
  EXPECT_NE(text.find("s1      r1    -    zone=a  maintenance,loud  7"), std::string::npos) << text;
}

}  // namespace
}  // namespace muster::cli
