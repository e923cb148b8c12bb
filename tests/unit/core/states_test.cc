// Every (state × input) of the job, attempt and node machines, against written tables.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "coordinator/core/cluster.h"
#include "tests/unit/core/valid_job.h"

namespace muster::coordinator::core {
namespace {

std::string Tail(const std::string& name, size_t prefix) { return name.substr(prefix); }

// One node with two slots, one job with one rank.
class Tiny {
 public:
  Tiny() : cluster_(options_), now_(absl::FromUnixSeconds(1000)) { Do(Start{"c0ffee42"}); }

  void Do(const Input& input) {
    for (const v1::Record& record : cluster_.Step(input, now_).records) records_.push_back(record);
  }
  void Hello(uint64_t incarnation) {
    WorkerConnected input{SessionId(++last_session_), {}};
    input.hello.set_node("n1");
    input.hello.set_slots(2);
    input.hello.set_incarnation(incarnation);
    if (incarnation >= highest_) session_ = input.session;
    highest_ = std::max(highest_, incarnation);
    Do(input);
  }
  void Submit(uint32_t tries = 3) {
    SubmitJob input;
    *input.request.mutable_spec() = ValidJob("x", 1, 100);
    input.request.mutable_spec()->mutable_recovery()->set_attempts_without_progress(tries);
    Do(input);
  }
  void Cancel() {
    CancelJob input;
    input.request.set_job_id(1);
    Do(input);
  }
  void Control(v1::JobAction action) {
    ControlJob input;
    input.request.set_job_id(1);
    input.request.set_action(action);
    Do(input);
  }
  void Scale() {
    ScaleJob input;
    input.request.set_job_id(1);
    v1::Axis* axis = input.request.add_mesh();
    axis->set_name("data");
    axis->set_size(2);
    Do(input);
  }
  void Admit(v1::NodeAdmission admission) {
    SetNodeAdmission input;
    input.request.set_node("n1");
    input.request.set_admission(admission);
    Do(input);
  }
  void Report(uint64_t attempt, v1::LocalAttemptState state, v1::RankState rank_state, int code,
              bool ours = false) {
    WorkerSaid input{session_, {}};
    v1::AttemptReport* report = input.message.mutable_report();
    report->set_job_id(1);
    report->set_attempt(attempt);
    report->set_state(state);
    v1::RankReport* rank = report->add_ranks();
    rank->set_state(rank_state);
    rank->set_exit_code(code);
    rank->set_stopped_by_us(ours);
    Do(input);
  }
  void Up() { Report(1, v1::LOCAL_ATTEMPT_STATE_ACTIVE, v1::RANK_STATE_RUNNING, 0); }
  void Fail() { Report(1, v1::LOCAL_ATTEMPT_STATE_ACTIVE, v1::RANK_STATE_EXITED, 1); }
  void FailGone() { Report(1, v1::LOCAL_ATTEMPT_STATE_STOPPED, v1::RANK_STATE_EXITED, 1); }
  void Finish() { Report(1, v1::LOCAL_ATTEMPT_STATE_STOPPED, v1::RANK_STATE_EXITED, 0); }
  void Killed() { Report(1, v1::LOCAL_ATTEMPT_STATE_STOPPED, v1::RANK_STATE_EXITED, 137, true); }
  void Stray() { Report(99, v1::LOCAL_ATTEMPT_STATE_STOPPED, v1::RANK_STATE_EXITED, 1); }
  void Heartbeat() {
    WorkerSaid input{session_, {}};
    input.message.mutable_heartbeat();
    Do(input);
  }
  void Disconnect() { Do(WorkerDisconnected{session_, ""}); }
  void Wait(absl::Duration span) {
    now_ += span;
    Do(Tick{});
  }
  void LoseNode() {
    Disconnect();
    Wait(options_.dead_after);
  }
  void Restart() {
    Cluster fresh(options_);
    for (const v1::Record& record : records_) fresh.Apply(record);
    cluster_ = std::move(fresh);
    Do(Start{""});
  }

  v1::Job Job() const {
    v1::GetJobRequest request;
    request.set_job_id(1);
    return cluster_.GetJob(request)->job();
  }
  std::string JobState() const { return Tail(v1::JobState_Name(Job().state()), 10); }
  // "-", "RUNNING", "ENDED/RANK_FAILED"
  std::string AttemptState() const {
    const v1::Job job = Job();
    if (job.attempts().empty()) return "-";
    const v1::Attempt& attempt = job.attempts(0);
    std::string state = Tail(v1::AttemptState_Name(attempt.state()), 14);
    if (attempt.outcome() == v1::ATTEMPT_OUTCOME_UNSPECIFIED) return state;
    return state + "/" + Tail(v1::AttemptOutcome_Name(attempt.outcome()), 16);
  }
  v1::Node Node() const { return cluster_.ListNodes({})->nodes(0); }
  std::string NodeState() const { return Tail(v1::NodeState_Name(Node().state()), 11); }
  std::string NodeAdmission() const { return Tail(v1::NodeAdmission_Name(Node().admission()), 15); }

 private:
  Options options_;
  Cluster cluster_;
  absl::Time now_;
  std::vector<v1::Record> records_;
  SessionId session_;
  uint64_t last_session_ = 0;
  uint64_t highest_ = 0;
};

using Act = std::function<void(Tiny&)>;
struct Named {
  std::string name;
  Act act;
};

const std::vector<Named> kJobStates = {
    {"QUEUED",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Admit(v1::NODE_ADMISSION_CORDONED);
       tiny.Submit();
     }},
    {"STARTING",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
     }},
    {"RUNNING",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
     }},
    {"STOPPING after a failure",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Fail();
     }},
    {"STOPPING to cancel",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Cancel();
     }},
    {"STOPPING to drain",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Admit(v1::NODE_ADMISSION_DRAINING);
     }},
    {"QUEUED on hold",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Admit(v1::NODE_ADMISSION_CORDONED);
       tiny.Submit();
       tiny.Control(v1::JOB_ACTION_HOLD);
       tiny.Admit(v1::NODE_ADMISSION_OPEN);
     }},
    {"SUSPENDED",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Control(v1::JOB_ACTION_SUSPEND);
       tiny.Killed();
     }},
    {"STOPPING to suspend",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Control(v1::JOB_ACTION_SUSPEND);
     }},
    {"STOPPING to requeue",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Control(v1::JOB_ACTION_REQUEUE);
     }},
    {"STOPPING to scale",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Scale();
     }},
    {"SUCCEEDED",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Up();
       tiny.Finish();
     }},
    {"FAILED",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit(1);
       tiny.FailGone();
     }},
    {"CANCELLED",
     [](Tiny& tiny) {
       tiny.Hello(1);
       tiny.Submit();
       tiny.Cancel();
       tiny.Killed();
     }},
};

const std::vector<Named> kJobInputs = {
    {"cancel", [](Tiny& tiny) { tiny.Cancel(); }},
    {"rank up", [](Tiny& tiny) { tiny.Up(); }},
    {"rank fails", [](Tiny& tiny) { tiny.Fail(); }},
    {"rank failed, all gone", [](Tiny& tiny) { tiny.FailGone(); }},
    {"rank finished, all gone", [](Tiny& tiny) { tiny.Finish(); }},
    {"rank killed by us, all gone", [](Tiny& tiny) { tiny.Killed(); }},
    {"node dies", [](Tiny& tiny) { tiny.LoseNode(); }},
    {"drain", [](Tiny& tiny) { tiny.Admit(v1::NODE_ADMISSION_DRAINING); }},
    {"open", [](Tiny& tiny) { tiny.Admit(v1::NODE_ADMISSION_OPEN); }},
    {"report of another attempt", [](Tiny& tiny) { tiny.Stray(); }},
    {"coordinator restarts", [](Tiny& tiny) { tiny.Restart(); }},
    {"hold", [](Tiny& tiny) { tiny.Control(v1::JOB_ACTION_HOLD); }},
    {"release", [](Tiny& tiny) { tiny.Control(v1::JOB_ACTION_RELEASE); }},
    {"suspend", [](Tiny& tiny) { tiny.Control(v1::JOB_ACTION_SUSPEND); }},
    {"resume", [](Tiny& tiny) { tiny.Control(v1::JOB_ACTION_RESUME); }},
    {"requeue", [](Tiny& tiny) { tiny.Control(v1::JOB_ACTION_REQUEUE); }},
    {"scale", [](Tiny& tiny) { tiny.Scale(); }},
    {"save", [](Tiny& tiny) { tiny.Control(v1::JOB_ACTION_SAVE); }},
};

// Rows are kJobStates, columns kJobInputs.
using Table = std::vector<std::vector<std::string>>;

void Check(const Table& table, std::string (Tiny::*look)() const) {
  ASSERT_EQ(table.size(), kJobStates.size());
  for (size_t row = 0; row < kJobStates.size(); ++row) {
    ASSERT_EQ(table[row].size(), kJobInputs.size()) << kJobStates[row].name;
    for (size_t column = 0; column < kJobInputs.size(); ++column) {
      Tiny tiny;
      kJobStates[row].act(tiny);
      kJobInputs[column].act(tiny);
      EXPECT_EQ((tiny.*look)(), table[row][column])
          << "state: " << kJobStates[row].name << ", input: " << kJobInputs[column].name;
    }
  }
}

TEST(States, Job) {
  const std::string q = "QUEUED", s = "STARTING", r = "RUNNING", x = "STOPPING", z = "SUSPENDED";
  const std::string ok = "SUCCEEDED", bad = "FAILED", off = "CANCELLED";
  // cancel, up, fails, failed+gone, finished+gone, ours+gone, node dies, drain, open, other,
  // restart, hold, release, suspend, resume, requeue, scale, save
  Check({{off, q, q, q, q, q, q, q, s, q, q, q, q, z, q, q, q, q},
         {x, r, x, s, ok, s, q, x, s, s, s, s, s, x, s, x, x, s},
         {x, r, x, s, ok, s, q, x, r, r, r, r, r, x, r, x, x, r},
         {x, x, x, s, s, s, q, x, x, x, x, x, x, x, x, x, x, x},
         {x, x, x, off, off, off, off, x, x, x, x, x, x, x, x, x, x, x},
         {x, x, x, q, q, q, q, x, x, x, x, x, x, x, x, x, x, x},
         {off, q, q, q, q, q, q, q, q, q, q, q, s, z, q, q, q, q},
         {off, z, z, z, z, z, z, z, z, z, z, z, z, z, s, z, z, z},
         {x, x, x, z, z, z, z, x, x, x, x, x, x, x, x, x, x, x},
         {x, x, x, s, s, s, q, x, x, x, x, x, x, x, x, x, x, x},
         {x, x, x, s, s, s, q, x, x, x, x, x, x, x, x, x, x, x},
         std::vector<std::string>(kJobInputs.size(), ok),
         std::vector<std::string>(kJobInputs.size(), bad),
         std::vector<std::string>(kJobInputs.size(), off)},
        &Tiny::JobState);
}

TEST(States, Attempt) {
  const std::string no = "-", s = "STARTING", r = "RUNNING";
  const std::string xf = "STOPPING/RANK_FAILED", xc = "STOPPING/CANCELLED", xd = "STOPPING/DRAINED",
                    xs = "STOPPING/SUSPENDED", xq = "STOPPING/REQUEUED", xr = "STOPPING/RESIZED";
  const std::string ef = "ENDED/RANK_FAILED", el = "ENDED/NODE_LOST", ec = "ENDED/CANCELLED",
                    ed = "ENDED/DRAINED", es = "ENDED/SUSPENDED", eq = "ENDED/REQUEUED",
                    er = "ENDED/RESIZED", ok = "ENDED/SUCCEEDED";
  // The columns of the table above.
  Check({{no, no, no, no, no, no, no, no, s, no, no, no, no, no, no, no, no, no},
         {xc, r, xf, ef, ok, ef, el, xd, s, s, s, s, s, xs, s, xq, xr, s},
         {xc, r, xf, ef, ok, ef, el, xd, r, r, r, r, r, xs, r, xq, xr, r},
         {xf, xf, xf, ef, ef, ef, ef, xf, xf, xf, xf, xf, xf, xf, xf, xf, xf, xf},
         {xc, xc, xc, ec, ec, ec, ec, xc, xc, xc, xc, xc, xc, xc, xc, xc, xc, xc},
         {xd, xd, xd, ed, ed, ed, ed, xd, xd, xd, xd, xd, xd, xd, xd, xd, xd, xd},
         {no, no, no, no, no, no, no, no, no, no, no, no, s, no, no, no, no, no},
         std::vector<std::string>(kJobInputs.size(), es),
         {xs, xs, xs, es, es, es, es, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs},
         {xq, xq, xq, eq, eq, eq, eq, xq, xq, xq, xq, xq, xq, xq, xq, xq, xq, xq},
         {xr, xr, xr, er, er, er, er, xr, xr, xr, xr, xr, xr, xr, xr, xr, xr, xr},
         std::vector<std::string>(kJobInputs.size(), ok),
         std::vector<std::string>(kJobInputs.size(), ef),
         std::vector<std::string>(kJobInputs.size(), ec)},
        &Tiny::AttemptState);
}

TEST(States, Node) {
  const std::vector<Named> states = {
      {"READY", [](Tiny& tiny) { tiny.Hello(5); }},
      {"SUSPECT by silence",
       [](Tiny& tiny) {
         tiny.Hello(5);
         tiny.Wait(absl::Seconds(2));
       }},
      {"SUSPECT by a broken stream",
       [](Tiny& tiny) {
         tiny.Hello(5);
         tiny.Disconnect();
       }},
      {"DEAD",
       [](Tiny& tiny) {
         tiny.Hello(5);
         tiny.LoseNode();
       }},
      {"SUSPECT after a restart of the coordinator",
       [](Tiny& tiny) {
         tiny.Hello(5);
         tiny.Restart();
       }},
  };
  const std::vector<Named> inputs = {
      {"heartbeat", [](Tiny& tiny) { tiny.Heartbeat(); }},
      {"stream breaks", [](Tiny& tiny) { tiny.Disconnect(); }},
      {"hello of the same life", [](Tiny& tiny) { tiny.Hello(5); }},
      {"hello of a newer life", [](Tiny& tiny) { tiny.Hello(6); }},
      {"hello of an older life", [](Tiny& tiny) { tiny.Hello(4); }},
      {"2 s pass", [](Tiny& tiny) { tiny.Wait(absl::Seconds(2)); }},
      {"5 s pass", [](Tiny& tiny) { tiny.Wait(absl::Seconds(5)); }},
  };
  const std::string r = "READY", s = "SUSPECT", d = "DEAD";
  const Table table = {
      {r, s, r, r, r, s, d}, {r, s, r, r, s, s, d}, {s, s, r, r, s, s, d},
      {d, d, r, r, d, d, d}, {s, s, r, r, s, s, d},
  };
  for (size_t row = 0; row < states.size(); ++row) {
    for (size_t column = 0; column < inputs.size(); ++column) {
      Tiny tiny;
      states[row].act(tiny);
      inputs[column].act(tiny);
      EXPECT_EQ(tiny.NodeState(), table[row][column])
          << "state: " << states[row].name << ", input: " << inputs[column].name;
    }
  }
}

TEST(States, NodeAdmission) {
  const auto admit = [](v1::NodeAdmission admission) {
    return [admission](Tiny& tiny) { tiny.Admit(admission); };
  };
  const std::vector<Named> states = {
      {"OPEN", [](Tiny&) {}},
      {"CORDONED", admit(v1::NODE_ADMISSION_CORDONED)},
      {"DRAINING", admit(v1::NODE_ADMISSION_DRAINING)},
      {"DRAINED",
       [](Tiny& tiny) {
         tiny.Admit(v1::NODE_ADMISSION_DRAINING);
         tiny.Killed();
       }},
  };
  const std::vector<Named> inputs = {
      {"open", admit(v1::NODE_ADMISSION_OPEN)},
      {"cordon", admit(v1::NODE_ADMISSION_CORDONED)},
      {"drain", admit(v1::NODE_ADMISSION_DRAINING)},
      {"drained by hand, refused", admit(v1::NODE_ADMISSION_DRAINED)},
      {"its job is gone", [](Tiny& tiny) { tiny.Killed(); }},
      {"it dies", [](Tiny& tiny) { tiny.LoseNode(); }},
  };
  const std::string o = "OPEN", c = "CORDONED", g = "DRAINING", d = "DRAINED";
  const Table table = {
      {o, c, g, o, o, o},
      {o, c, g, c, c, c},
      {o, c, g, g, d, d},
      {o, c, d, d, d, d},
  };
  for (size_t row = 0; row < states.size(); ++row) {
    for (size_t column = 0; column < inputs.size(); ++column) {
      Tiny tiny;
      tiny.Hello(1);
      tiny.Submit();
      tiny.Up();
      states[row].act(tiny);
      inputs[column].act(tiny);
      EXPECT_EQ(tiny.NodeAdmission(), table[row][column])
          << "state: " << states[row].name << ", input: " << inputs[column].name;
    }
  }
}

}  // namespace
}  // namespace muster::coordinator::core
