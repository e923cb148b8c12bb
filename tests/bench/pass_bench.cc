// Whole passes of the scheduler at 1,875 nodes × 8: how long, how many placements, beside the
// budgets and beside a floor: what reading the same facts once, and no more, costs on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "common/check.h"
#include "coordinator/scheduler/pass.h"
#include "coordinator/scheduler/place.h"

namespace {

using namespace muster;
using namespace muster::coordinator::scheduler;
using Clock = std::chrono::steady_clock;
using Shares = google::protobuf::RepeatedPtrField<v1::NodeShare>;

constexpr uint32_t kNodes = 1'875, kSlots = 8;
constexpr size_t kWaiting = 10'000;

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// A cluster with four queues, and jobs that wait and run in it.
class Cluster {
 public:
  explicit Cluster(uint64_t seed) : random_(seed) {
    for (uint32_t i = 0; i < kNodes; ++i) {
      NodeFacts facts;
      facts.name = NodeId(fmt::format("n{}", i + 1));
      facts.slots = kSlots;
      facts.location.set_rack(fmt::format("r{}", i / 4));
      facts.location.set_pod(fmt::format("p{}", i / 64));
      inventory_.SetUsable(inventory_.Set(facts), true, "");
    }
    inventory_.tree();
    for (const char* name : {"batch", "default", "prod", "research"}) {
      v1::QueueSpec& queue = queues_.emplace_back();
      queue.set_name(name);
      queue.set_weight(1);
      view_.queues.push_back({&queue, 0, 0});
    }
    queues_[2].set_quota(kNodes * kSlots / 4);
    view_.now = absl::FromUnixSeconds(1'000'000);
    view_.inventory = &inventory_;
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  uint64_t Below(uint64_t n) { return random_() % n; }

  // One more that waits. `tensor`: ranks that share a node; minutes 0: no time limit.
  void Submit(uint32_t data, uint32_t tensor, uint64_t minutes) {
    Job& job = jobs_.emplace_back();
    const auto axis = [&](const char* name, uint32_t size, v1::Domain within) {
      v1::Axis* added = job.spec.add_mesh();
      added->set_name(name);
      added->set_size(size);
      added->set_within(within);
    };
    axis("data", data, v1::DOMAIN_UNSPECIFIED);
    if (tensor > 1) axis("tensor", tensor, v1::DOMAIN_NODE);
    job.spec.mutable_resources()->set_slots_per_rank(1);
    if (minutes > 0) {
      job.spec.mutable_schedule()->mutable_time_limit()->set_seconds(
          static_cast<int64_t>(60 * minutes));
    }
    job.shape = ShapeOf(job.spec);
    job.placement_class = PlacementClass(job.spec);
    WaitingJob waiting;
    waiting.job = JobId(jobs_.size());
    waiting.spec = &job.spec;
    waiting.shape = &job.shape;
    waiting.placement_class = &job.placement_class;
    waiting.queue = static_cast<uint32_t>(Below(view_.queues.size()));
    waiting.user = &user_;
    view_.waiting.push_back(waiting);
  }
  void SubmitSmall(uint64_t minutes) {
    const uint32_t sizes[] = {1, 2, 8};
    const uint32_t size = sizes[Below(3)];
    size == 8 ? Submit(1, 8, minutes) : Submit(size, 1, minutes);
  }
  void SubmitAny() {
    const uint64_t dice = Below(100), minutes = 10 + Below(50) * 10;
    if (dice < 70) {
      SubmitSmall(minutes);
    } else if (dice < 90) {
      Submit(static_cast<uint32_t>(1 + Below(8)), 8, minutes);
    } else {
      Submit(static_cast<uint32_t>(8 + Below(57)), 8, minutes);
    }
  }

  // A pass, carried out; the pass alone is timed.
  size_t Pass(std::vector<double>* ms) {
    const Clock::time_point start = Clock::now();
    const Decisions decisions = RunPass(view_);
    if (ms != nullptr) ms->push_back(Milliseconds(Clock::now() - start));
    for (const Start& started : decisions.starts) Begin(started);
    return decisions.starts.size();
  }
  void EndOne() {
    const auto at =
        view_.running.begin() + static_cast<std::ptrdiff_t>(Below(view_.running.size()));
    for (const v1::NodeShare& share : *at->shares) inventory_.Free(share, at->job, false);
    view_.queues[at->queue].slots_held -= at->slots;
    view_.running.erase(at);
    view_.now += absl::Milliseconds(200);
  }
  const View& view() const { return view_; }
  const Inventory& inventory() const { return inventory_; }

 private:
  struct Job {
    v1::JobSpec spec;
    Shape shape;
    std::string placement_class;
    Shares shares;
  };

  void Begin(const Start& started) {
    const auto by_id = [](const auto& job, JobId id) { return job.job < id; };
    const auto waiting =
        std::lower_bound(view_.waiting.begin(), view_.waiting.end(), started.job, by_id);
    Job& job = jobs_[started.job.value() - 1];
    job.shares.Assign(started.shares.begin(), started.shares.end());
    for (const v1::NodeShare& share : started.shares) inventory_.Take(share, started.job, false);
    RunningJob running;
    running.job = started.job;
    running.spec = &job.spec;
    running.queue = waiting->queue;
    running.user = &user_;
    running.shares = &job.shares;
    running.slots = job.shape.slots();
    running.ends_by = view_.now + TimeLimitOf(job.spec);
    running.committed_at = view_.now;
    view_.queues[running.queue].slots_held += running.slots;
    view_.waiting.erase(waiting);
    view_.running.insert(
        std::lower_bound(view_.running.begin(), view_.running.end(), started.job, by_id), running);
  }

  std::mt19937_64 random_;
  Inventory inventory_;
  std::deque<v1::QueueSpec> queues_;
  std::deque<Job> jobs_;
  std::string user_ = "ann";
  View view_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Reading every waiting job once, and the free slots of every node once for each placement.
double FloorMs(const Cluster& cluster, size_t placements) {
  std::vector<uint32_t> free(kNodes, kSlots);
  uint64_t seen = 1;
  const Clock::time_point start = Clock::now();
  for (const WaitingJob& job : cluster.view().waiting) seen += job.shape->ranks;
  for (size_t i = 0; i < placements; ++i) {
    uint32_t best = 0;
    for (uint32_t node = 0; node < kNodes; ++node) {
      if (free[node] > 0 && (free[best] == 0 || free[node] < free[best])) best = node;
    }
    if (free[best] > 0) --free[best];
    seen += best + 1;
  }
  const double ms = Milliseconds(Clock::now() - start);
  CHECK(seen > placements, "the floor is of {} placements and read nothing", placements);
  return ms;
}

void Print(const std::string& what, const std::vector<double>& ms, size_t starts, double floor_ms,
           const std::string& beside) {
  double sum = 0;
  for (const double each : ms) sum += each;
  const double worst = *std::max_element(ms.begin(), ms.end());
  fmt::print(
      "{:<50}{:>9.2f} ms a pass (worst {:.2f}){:>9.0f} passes/s{:>10.0f} placements/s   floor "
      "{:.3f} ms   {}\n",
      what, Median(ms), worst, 1e3 * double(ms.size()) / sum, 1e3 * double(starts) / sum, floor_ms,
      beside);
}

void Empty() {
  std::vector<double> ms;
  size_t starts = 0, placed = 0;
  double floor_ms = 0;
  for (uint64_t run = 0; run < 3; ++run) {
    Cluster cluster(run);
    for (size_t i = 0; i < kWaiting; ++i) cluster.SubmitSmall(60);
    placed = cluster.Pass(&ms);
    starts += placed;
    floor_ms = FloorMs(cluster, placed);
  }
  Print(fmt::format("empty, {} small jobs wait, {} start", kWaiting, placed), ms, starts, floor_ms,
        "budget >= 10,000 placements/s");
}

void Full(const std::string& what, uint64_t minutes) {
  Cluster cluster(7);
  for (size_t i = 0; i < kNodes; ++i) cluster.Submit(1, 8, minutes);
  cluster.Pass(nullptr);
  for (size_t i = 0; i < kWaiting; ++i) cluster.SubmitSmall(minutes);
  std::vector<double> ms;
  size_t starts = 0;
  for (int i = 0; i < 50; ++i) starts += cluster.Pass(&ms);
  CHECK(starts == 0, "{} jobs start in a full cluster", starts);
  Print(what, ms, starts, FloorMs(cluster, 0), "");
}

void Mixed() {
  Cluster cluster(11);
  for (size_t i = 0; i < kWaiting; ++i) cluster.SubmitAny();
  while (cluster.Pass(nullptr) > 0) {
  }
  std::vector<double> ms;
  size_t starts = 0;
  for (int i = 0; i < 300; ++i) {
    while (cluster.view().waiting.size() < kWaiting) cluster.SubmitAny();
    cluster.EndOne();
    starts += cluster.Pass(&ms);
  }
  Print(fmt::format("{} of all kinds wait, {} run, one ends each time", kWaiting,
                    cluster.view().running.size()),
        ms, starts, FloorMs(cluster, 1), "");
  const JobId last = cluster.view().waiting.back().job;
  std::vector<double> asked;
  Forecast forecast;
  for (int i = 0; i < 5; ++i) {
    const Clock::time_point start = Clock::now();
    forecast = ForecastStart(cluster.view(), last);
    asked.push_back(Milliseconds(Clock::now() - start));
  }
  fmt::print("{:<50}{:>9.2f} ms ({} events, {} ahead, {})\n", "  forecast of the last of them",
             Median(asked), forecast.events,
             absl::FormatDuration(forecast.looked_until - cluster.view().now),
             forecast.gave_up ? "gave up" : "told");
}

void LargeGang() {
  std::vector<double> ms;
  for (uint64_t run = 0; run < 20; ++run) {
    Cluster cluster(run);
    cluster.Submit(kNodes, kSlots, 0);
    CHECK(cluster.Pass(&ms) == 1, "the gang does not start");
    if (run + 1 < 20) continue;
    Print(fmt::format("empty, one gang of {} slots", kNodes * kSlots), ms, ms.size(),
          FloorMs(cluster, 1), "budget <= 50 ms");
  }
}

}  // namespace

int main() {
  fmt::print("{} nodes × {}\n", kNodes, kSlots);
  Empty();
  Full(fmt::format("full, {} small jobs wait, ends known", kWaiting), 60);
  Full(fmt::format("full, {} small jobs wait, ends not known", kWaiting), 0);
  Mixed();
  LargeGang();
}
