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

}  // namespace

BENCHMARK_MAIN();
