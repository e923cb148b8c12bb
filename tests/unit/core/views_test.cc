// Paging, filters and the ring of events, seen from outside.
#include <gtest/gtest.h>

#include <map>

#include "common/check.h"
#include "coordinator/core/cluster.h"

namespace muster::coordinator::core {
namespace {

class Views : public testing::Test {
 protected:
  Views() {
    options_.events_kept = 10;
    cluster_ = Cluster(options_);
    cluster_.Step(Start{"c0ffee42"}, now_);
  }
  void Submit(const std::string& name) {
    SubmitJob input;
    input.request.mutable_spec()->set_name(name);
    cluster_.Step(input, now_);
  }
  void Cancel(uint64_t id) {
    CancelJob input;
    input.request.set_job_id(id);
    cluster_.Step(input, now_);
  }

  Options options_;
  Cluster cluster_{Options()};
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

TEST_F(Views, JobsPageNewestFirst) {
  for (int i = 1; i <= 5; ++i) Submit("j" + std::to_string(i));
  v1::ListJobsRequest request;
  request.set_page_size(2);
  std::vector<uint64_t> ids;
  do {
    const auto page = cluster_.ListJobs(request);
    ASSERT_TRUE(page.ok());
    ASSERT_LE(page->jobs_size(), 2);
    for (const v1::Job& job : page->jobs()) ids.push_back(job.id());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(ids, (std::vector<uint64_t>{5, 4, 3, 2, 1}));
  request.set_page_token("x1");
  EXPECT_EQ(cluster_.ListJobs(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Views, JobsFilterByState) {
  Submit("a");
  Submit("b");
  Cancel(1);
  v1::ListJobsRequest request;
  request.add_states(v1::JOB_STATE_CANCELLED);
  const auto page = cluster_.ListJobs(request);
  ASSERT_EQ(page->jobs_size(), 1);
  EXPECT_EQ(page->jobs(0).id(), 1u);
  EXPECT_EQ(page->revision(), cluster_.revision());
}

TEST_F(Views, UnfinishedJobsPageWithoutThoseThatEnded) {
  for (int i = 1; i <= 6; ++i) Submit("j" + std::to_string(i));
  for (const uint64_t id : {2u, 3u, 6u}) Cancel(id);
  v1::ListJobsRequest request;
  request.add_states(v1::JOB_STATE_QUEUED);
  request.set_page_size(2);
  const auto first = cluster_.ListJobs(request);
  ASSERT_EQ(first->jobs_size(), 2);
  EXPECT_EQ(first->jobs(0).id(), 5u);
  EXPECT_EQ(first->jobs(1).id(), 4u);
  request.set_page_token(first->next_page_token());
  const auto second = cluster_.ListJobs(request);
  ASSERT_EQ(second->jobs_size(), 1);
  EXPECT_EQ(second->jobs(0).id(), 1u);
  EXPECT_TRUE(second->next_page_token().empty());
}

// One job after the other in each state, as their records leave them.
void ApplyJobInState(Cluster& cluster, uint64_t id, v1::JobState state) {
  const auto apply = [&](const auto& fill) {
    v1::Record record;
    fill(record);
    cluster.Apply(record);
  };
  apply([&](v1::Record& record) {
    record.mutable_job_submitted()->set_job_id(id);
    record.mutable_job_submitted()->mutable_spec()->set_name("j" + std::to_string(id));
  });
  const bool starts = state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING ||
                      state == v1::JOB_STATE_STOPPING;
  if (starts) {
    apply([&](v1::Record& record) {
      record.mutable_attempt_started()->set_job_id(id);
      record.mutable_attempt_started()->set_attempt(1);
    });
  }
  if (state == v1::JOB_STATE_RUNNING) {
    apply([&](v1::Record& record) {
      record.mutable_attempt_milestone()->set_job_id(id);
      record.mutable_attempt_milestone()->set_attempt(1);
    });
  }
  if (state == v1::JOB_STATE_STOPPING) {
    apply([&](v1::Record& record) {
      record.mutable_attempt_stopping()->set_job_id(id);
      record.mutable_attempt_stopping()->set_attempt(1);
    });
  }
  if (state == v1::JOB_STATE_SUSPENDED) {
    apply([&](v1::Record& record) {
      record.mutable_job_suspended()->set_job_id(id);
      record.mutable_job_suspended()->set_suspended(true);
    });
  }
  if (state >= v1::JOB_STATE_SUCCEEDED && state <= v1::JOB_STATE_CANCELLED) {
    apply([&](v1::Record& record) {
      record.mutable_job_ended()->set_job_id(id);
      record.mutable_job_ended()->set_state(state);
    });
  }
}

std::vector<uint64_t> ListedInState(const Cluster& cluster, const v1::ListJobsRequest& asked) {
  v1::ListJobsRequest request = asked;
  request.set_page_size(2);
  std::vector<uint64_t> ids;
  do {
    const auto page = cluster.ListJobs(request);
    CHECK(page.ok(), "{}", std::string(page.status().message()));
    for (const v1::Job& job : page->jobs()) ids.push_back(job.id());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return ids;
}

TEST_F(Views, AnyFilterFindsWhatLookingAtEveryJobFinds) {
  constexpr int kStates = v1::JOB_STATE_SUSPENDED;  // the last one
  Cluster cluster(options_);
  std::map<uint64_t, v1::JobState> states;
  for (uint64_t id = 1; id <= uint64_t{5} * kStates; ++id) {
    states[id] = static_cast<v1::JobState>(1 + id * 7 % kStates);
    ApplyJobInState(cluster, id, states[id]);
    v1::GetJobRequest request;
    request.set_job_id(id);
    ASSERT_EQ(cluster.GetJob(request)->job().state(), states[id]);
  }
  for (int wanted = 1; wanted < 1 << (kStates + 1); ++wanted) {  // each set of states; bit 0: none
    v1::ListJobsRequest request;
    std::vector<uint64_t> expected;
    for (int state = 0; state <= kStates; ++state) {
      if ((wanted >> state & 1) == 1) request.add_states(static_cast<v1::JobState>(state));
    }
    for (auto at = states.rbegin(); at != states.rend(); ++at) {
      if ((wanted >> at->second & 1) == 1) expected.push_back(at->first);
    }
    ASSERT_EQ(ListedInState(cluster, request), expected) << request.ShortDebugString();
  }
}

TEST_F(Views, AJobThatEndedKeepsItsProgressInTheNextLife) {
  std::vector<v1::Record> records;
  Cluster first(options_);
  const auto step = [&](const Input& input) {
    const Outcome outcome = first.Step(input, now_);
    records.insert(records.end(), outcome.records.begin(), outcome.records.end());
  };
  step(Start{"c0ffee42"});
  WorkerConnected hello{SessionId(1), {}};
  hello.hello.set_node("n1");
  hello.hello.set_slots(1);
  step(hello);
  SubmitJob submit;
  submit.request.mutable_spec()->set_name("gpt");
  submit.request.mutable_spec()->mutable_train()->set_steps(100);
  step(submit);
  WorkerSaid said{SessionId(1), {}};
  v1::AttemptReport* report = said.message.mutable_report();
  report->set_job_id(1);
  report->set_attempt(1);
  report->set_state(v1::LOCAL_ATTEMPT_STATE_STOPPED);
  v1::RankReport* rank = report->add_ranks();
  rank->set_state(v1::RANK_STATE_EXITED);
  rank->mutable_progress()->set_step(100);
  rank->mutable_progress()->set_first_step(60);
  rank->mutable_progress()->set_from_memory(true);
  rank->mutable_progress()->set_target_steps(100);
  rank->mutable_progress()->set_loss(1.25);
  rank->mutable_progress()->set_updates(7);
  step(said);
  Cluster second(options_);
  for (const v1::Record& record : records) second.Apply(record);
  for (const Cluster* cluster : {&first, &second}) {
    v1::GetJobRequest request;
    request.set_job_id(1);
    const v1::Job job = cluster->GetJob(request)->job();
    EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
    EXPECT_EQ(job.progress().step(), 100u);
    EXPECT_EQ(job.progress().target_steps(), 100u);
    EXPECT_EQ(job.progress().loss(), 1.25);
    EXPECT_TRUE(job.progress().from_memory());
    EXPECT_EQ(job.attempts(0).first_step(), 60u);
    EXPECT_TRUE(job.attempts(0).from_memory());
  }
}

TEST_F(Views, TheNewestJobOfAName) {
  Submit("a");
  Cancel(1);
  Submit("a");
  v1::GetJobRequest request;
  request.set_name("a");
  EXPECT_EQ(cluster_.GetJob(request)->job().id(), 2u);
  request.set_name("b");
  EXPECT_EQ(cluster_.GetJob(request).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Views, EventsAfterARevisionMissNothingOrSaySo) {
  Submit("a");
  const uint64_t seen = cluster_.revision();
  Submit("b");
  Cancel(1);
  const auto events = cluster_.EventsAfter(seen, JobId());
  ASSERT_TRUE(events.ok());
  ASSERT_EQ(events->size(), 3u);  // submitted, cancelling, ended
  EXPECT_GT((*events)[0].revision(), seen);
  EXPECT_EQ(cluster_.EventsAfter(seen, JobId(1))->size(), 2u);
  for (int i = 0; i < 10; ++i) Submit("c" + std::to_string(i));
  EXPECT_EQ(cluster_.EventsAfter(seen, JobId()).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(cluster_.EventsAfter(cluster_.revision(), JobId())->empty());
}

TEST_F(Views, NodesPageByName) {
  for (const char* name : {"n2", "n1", "n3"}) {
    WorkerConnected input{SessionId(static_cast<uint64_t>(name[1])), {}};
    input.hello.set_node(name);
    input.hello.set_slots(1);
    cluster_.Step(input, now_);
  }
  v1::ListNodesRequest request;
  request.set_page_size(2);
  const auto first = cluster_.ListNodes(request);
  ASSERT_EQ(first->nodes_size(), 2);
  EXPECT_EQ(first->nodes(0).name(), "n1");
  request.set_page_token(first->next_page_token());
  EXPECT_EQ(cluster_.ListNodes(request)->nodes(0).name(), "n3");
  EXPECT_EQ(cluster_.GetCluster().nodes_ready(), 3u);
  EXPECT_EQ(cluster_.GetCluster().slots_total(), 3u);
}

}  // namespace
}  // namespace muster::coordinator::core
