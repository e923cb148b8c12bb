// What the coordinator's core costs per input on a cluster of 1,875 nodes × 8 slots: a heartbeat, a
// tick with nothing due, a submission into a full cluster, a gang on every slot.
#include <benchmark/benchmark.h>

#include <string>

#include "common/check.h"
#include "coordinator/core/cluster.h"

namespace {

using namespace muster;  // NOLINT(google-build-using-namespace): a program of one file
using coordinator::core::Cluster;
using coordinator::core::Options;
using coordinator::core::Outcome;

class Bench {
 public:
  explicit Bench(int nodes) : cluster_(Options()), now_(absl::FromUnixSeconds(1'000)) {
    cluster_.Step(coordinator::core::Start{"c0ffee42"}, now_);
    for (int i = 1; i <= nodes; ++i) {
      coordinator::core::WorkerConnected input;
      input.session = SessionId(static_cast<uint64_t>(i));
      input.hello.set_node("n" + std::to_string(i));
      input.hello.set_slots(8);
      input.hello.set_incarnation(1);
      input.hello.mutable_location()->set_rack("r" + std::to_string(i / 16));
      cluster_.Step(input, now_);
    }
  }

  Outcome Submit(uint32_t ranks) {
    coordinator::core::SubmitJob input;
    v1::JobSpec* spec = input.request.mutable_spec();
    spec->set_name("j" + std::to_string(++jobs_));
    v1::Axis* axis = spec->add_mesh();
    axis->set_name("data");
    axis->set_size(ranks);
    spec->mutable_resources()->set_slots_per_rank(1);
    spec->mutable_program()->add_command("true");
    return cluster_.Step(input, now_);
  }
  void Pass(absl::Duration span) { now_ += span; }
  Cluster& cluster() { return cluster_; }
  absl::Time now() const { return now_; }

 private:
  Cluster cluster_;
  absl::Time now_;
  uint64_t jobs_ = 0;
};

void Heartbeat(benchmark::State& state) {
  Bench bench(1'875);
  coordinator::core::WorkerSaid input;
  input.message.mutable_heartbeat();
  uint64_t session = 0;
  for (auto _ : state) {
    input.session = SessionId(1 + session++ % 1'875);
    bench.cluster().Step(input, bench.now());
  }
}
BENCHMARK(Heartbeat);

void IdleTick(benchmark::State& state) {
  Bench bench(1'875);
  for (auto _ : state) bench.cluster().Step(coordinator::core::Tick{}, bench.now());
}
BENCHMARK(IdleTick);

// One submission of 10,000 into a full cluster, one millisecond apart.
void SubmitToFull(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    Bench bench(1'875);
    bench.Submit(15'000);
    state.ResumeTiming();
    for (int i = 0; i < 10'000; ++i) {
      bench.Pass(absl::Milliseconds(1));
      bench.Submit(8);
      if (i % 16 == 15) bench.cluster().Step(coordinator::core::Tick{}, bench.now());
    }
  }
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(SubmitToFull)->Unit(benchmark::kMillisecond);

// 10,000 submissions of small jobs of which the first 1,875 start.
void SubmitAndStart(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    Bench bench(1'875);
    state.ResumeTiming();
    for (int i = 0; i < 10'000; ++i) {
      bench.Pass(absl::Milliseconds(1));
      bench.Submit(8);
      if (i % 16 == 15) bench.cluster().Step(coordinator::core::Tick{}, bench.now());
    }
  }
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(SubmitAndStart)->Unit(benchmark::kMillisecond);

void GangOnAll(benchmark::State& state) {
  const auto nodes = static_cast<int>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    Bench bench(nodes);
    state.ResumeTiming();
    const Outcome outcome = bench.Submit(static_cast<uint32_t>(nodes) * 8);
    CHECK(outcome.commands.size() == static_cast<size_t>(nodes), "the gang did not start");
  }
}
BENCHMARK(GangOnAll)->Arg(125)->Arg(375)->Arg(1'875)->Unit(benchmark::kMillisecond);

// The ledger of 100,000 ended jobs and 100 live ones: of all (ended ones are a sum), and of what
// needs a look at every job: the last day, one node, one user.
void Ledger(benchmark::State& state) {
  constexpr uint64_t kJobs = 100'100;
  Cluster cluster((Options()));
  uint64_t now_ms = 1'700'000'000'000;
  v1::Record record;
  const auto apply = [&](uint64_t after_ms) {
    now_ms += after_ms;
    record.set_time_unix_ms(static_cast<int64_t>(now_ms));
    cluster.Apply(record);
    record.Clear();
  };
  for (uint64_t i = 0; i < 1'000; ++i) {
    v1::NodeJoined* joined = record.mutable_node_joined();
    joined->set_node("n" + std::to_string(i));
    joined->set_slots(8);
    apply(0);
  }
  for (uint64_t id = 1; id <= kJobs; ++id) {
    v1::JobSubmitted* submitted = record.mutable_job_submitted();
    submitted->set_job_id(id);
    submitted->set_user("user" + std::to_string(id % 40));
    submitted->mutable_spec()->set_name("j" + std::to_string(id));
    submitted->mutable_spec()->mutable_train()->set_steps(1'000);
    apply(1'000);
    const uint64_t attempts = id % 5 == 0 ? 2 : 1;
    for (uint64_t number = 1; number <= attempts; ++number) {
      v1::AttemptStarted* started = record.mutable_attempt_started();
      started->set_job_id(id);
      started->set_attempt(number);
      v1::NodeShare* share = started->add_shares();
      share->set_node("n" + std::to_string(id % 1'000));
      share->set_ranks(8);
      for (uint32_t slot = 0; slot < 8; ++slot) share->add_slots(slot);
      apply(1'000);
      for (const bool first_step : {false, true}) {
        v1::AttemptMilestone* milestone = record.mutable_attempt_milestone();
        milestone->set_job_id(id);
        milestone->set_attempt(number);
        milestone->set_first_step(first_step);
        apply(2'000);
      }
      if (id + 100 > kJobs) break;
      if (number < attempts) {
        v1::AttemptStopping* stopping = record.mutable_attempt_stopping();
        stopping->set_job_id(id);
        stopping->set_attempt(number);
        stopping->set_outcome(v1::ATTEMPT_OUTCOME_RANK_FAILED);
        stopping->mutable_cause()->set_signal(9);
        apply(60'000);
      }
      v1::AttemptEnded* ended = record.mutable_attempt_ended();
      ended->set_job_id(id);
      ended->set_attempt(number);
      ended->set_outcome(number < attempts ? v1::ATTEMPT_OUTCOME_RANK_FAILED
                                           : v1::ATTEMPT_OUTCOME_SUCCEEDED);
      ended->set_last_step(1'000);
      ended->set_productive_seconds(50);
      apply(1'000);
    }
    if (id + 100 > kJobs) continue;
    record.mutable_job_ended()->set_job_id(id);
    record.mutable_job_ended()->set_state(v1::JOB_STATE_SUCCEEDED);
    apply(0);
  }
  v1::GetLedgerRequest request;
  if (state.range(0) == 1) request.set_since_unix_ms(static_cast<int64_t>(now_ms) - 86'400'000);
  if (state.range(0) == 2) request.set_since_unix_ms(1);
  if (state.range(0) == 3) request.set_node("n7");
  if (state.range(0) == 4) request.set_user("user7");
  for (auto _ : state) {
    const auto response = cluster.GetLedger(request);
    CHECK(response.ok() && response->ledger().slot_seconds() > 0, "there is no ledger");
  }
  constexpr const char* kNames[] = {"all", "last day", "since the beginning", "one node",
                                    "one user"};
  state.SetLabel(kNames[state.range(0)]);
}
BENCHMARK(Ledger)->DenseRange(0, 4)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
