// Is what `plan` says what then happens? Worlds with a mixed load, and for each submission the plan
// asked immediately before it, held against the core itself, stepped:
//
//   at once    what fits now: it starts at once, where planned.
//   alone      what waits, in a twin of the world in which nobody else comes and no person
//              intervenes: it starts when planned, where planned, stopping whom it was planned to
//              stop; or never, when the plan names no time.
//   in a crowd what waits, in the world itself, where others come after it. A plan does not know
//              those; what they move is printed, not asserted.
//
// "When" is to the millisecond, "where" every rank's node and slots and every spare. The rest of
// the definition of a plan (Forecast in pass.h): every attempt runs exactly to its time limit, one
// that is stopped takes all of its grace, no node fails, workers answer at once.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "tests/unit/core/mixed_load.h"
#include "tests/unit/core/scripted_world.h"

namespace muster::coordinator::core {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(1);
constexpr uint64_t kPerWorld = 250;

// What a plan says, or what happened.
struct Fate {
  absl::Time at = absl::InfiniteFuture();
  std::string where;
  std::vector<uint64_t> victims;
};

std::string WhereText(const auto& shares, const auto& spares) {
  std::string text;
  for (const v1::NodeShare& share : shares) {
    text += fmt::format("{}:{}+{}[", share.node(), share.first_rank(), share.ranks());
    for (const uint32_t slot : share.slots()) text += fmt::format("{} ", slot);
    text += "] ";
  }
  for (const std::string& spare : spares) text += "spare " + spare + " ";
  return text;
}

Fate FateOf(const ScriptedWorld& world, uint64_t job) {
  Fate fate;
  if (const auto found = world.first_attempts().find(job); found != world.first_attempts().end()) {
    fate.at = found->second.at;
    fate.where = WhereText(found->second.shares, found->second.spares);
  }
  if (const auto found = world.victims().find(job); found != world.victims().end()) {
    fate.victims = found->second;
    std::sort(fate.victims.begin(), fate.victims.end());
  }
  return fate;
}

Fate FateOf(const v1::PlanJobResponse& plan) {
  Fate fate;
  if (plan.start_unix_ms() > 0) fate.at = absl::FromUnixMillis(plan.start_unix_ms());
  fate.where = WhereText(plan.shares(), plan.spares());
  fate.victims.assign(plan.preempts().begin(), plan.preempts().end());
  std::sort(fate.victims.begin(), fate.victims.end());
  return fate;
}

bool SameTime(const Fate& a, const Fate& b) { return a.at <= b.at + kTick && b.at <= a.at + kTick; }

struct Tally {
  uint64_t asked = 0, same = 0, earlier = 0, later = 0, other_place = 0, other_victims = 0;

  // True: all the same.
  bool Count(const Fate& planned, const Fate& seen) {
    ++asked;
    if (!SameTime(planned, seen)) {
      ++(seen.at < planned.at ? earlier : later);
    } else if (planned.where != seen.where) {
      ++other_place;
    } else if (planned.victims != seen.victims) {
      ++other_victims;
    } else {
      ++same;
      return true;
    }
    return false;
  }
  void operator+=(const Tally& part) {
    asked += part.asked;
    same += part.same;
    earlier += part.earlier;
    later += part.later;
    other_place += part.other_place;
    other_victims += part.other_victims;
  }
  std::string Row(const std::string& name) const {
    return fmt::format("{:<36}{:>8}{:>8}{:>9.2f} %{:>9}{:>9}{:>9}{:>9}\n", name, asked, same,
                       asked == 0 ? 100.0 : 100.0 * double(same) / double(asked), earlier, later,
                       other_place, other_victims);
  }
};

struct Counts {
  Tally at_once, alone, crowd;
  uint64_t no_time = 0;  // of alone: the plan names none
  uint64_t gave_up = 0;  // of these: it looked no further
  uint64_t preemptions = 0, inputs = 0;
  double held = 0;  // of all slots, summed over submissions
  std::string wrong;

  void operator+=(const Counts& part) {
    at_once += part.at_once;
    alone += part.alone;
    crowd += part.crowd;
    no_time += part.no_time;
    gave_up += part.gave_up;
    preemptions += part.preemptions;
    inputs += part.inputs;
    held += part.held;
    if (wrong.size() < 5'000) wrong += part.wrong;
  }
};

class World {
 public:
  explicit World(uint64_t seed) : seed_(seed), nodes_(kNodes[seed % 4]), load_(seed, nodes_) {
    world_ = std::make_unique<ScriptedWorld>(nodes_, absl::FromUnixSeconds(1'000'000));
    for (const v1::QueueSpec& queue : load_.Queues()) world_->SetQueue(queue);
  }

  Counts Run(uint64_t submissions) {
    for (uint64_t i = 0; i < submissions && !testing::Test::HasFailure(); ++i) {
      world_->RunUntil(world_->now() + load_.Gap(i));
      load_.Intervene(*world_);
      SubmitOne();
    }
    world_->RunUntil(world_->now() + kEnough);
    for (const auto& [job, planned] : planned_) counts_.crowd.Count(planned, FateOf(*world_, job));
    counts_.preemptions = world_->preemptions();
    counts_.inputs += world_->inputs();
    return counts_;
  }

 private:
  static constexpr uint32_t kNodes[] = {64, 128, 96, 256};
  static constexpr absl::Duration kEnough = absl::Hours(200);

  void SubmitOne() {
    const v1::JobSpec spec = load_.Job(world_->jobs());
    const std::string user = load_.User();
    const v1::PlanJobResponse plan = world_->Plan(spec, user);
    counts_.held += double(world_->slots_held()) / (nodes_ * 8.0);
    const Fate planned = FateOf(plan);
    std::unique_ptr<ScriptedWorld> twin;
    if (!plan.fits_now()) twin = world_->Fork();
    const uint64_t job = world_->Submit(spec, user);
    if (plan.fits_now()) {
      while (world_->first_attempts().count(job) == 0 && world_->RunOnce(planned.at)) {
      }
      Judge(counts_.at_once, job, planned, FateOf(*world_, job), plan.reason());
      return;
    }
    planned_.emplace(job, planned);
    ASSERT_EQ(twin->Submit(spec, user), job);
    absl::Time enough = planned.at + absl::Hours(24);
    if (planned.at == absl::InfiniteFuture()) {
      ++counts_.no_time;
      counts_.gave_up += plan.reason().find("as far as a plan looks") != std::string::npos ? 1 : 0;
      enough = world_->now() + kEnough;
    }
    while (twin->first_attempts().count(job) == 0 && twin->RunOnce(enough)) {
    }
    Judge(counts_.alone, job, planned, FateOf(*twin, job), plan.reason());
    counts_.inputs += twin->inputs();
  }

  void Judge(Tally& tally, uint64_t job, const Fate& planned, const Fate& seen,
             const std::string& reason) {
    if (tally.Count(planned, seen) || wrongs_++ > 3) return;
    const auto text = [](const Fate& fate) {
      return fmt::format("{} on {} stopping {}", absl::FormatTime(fate.at, absl::UTCTimeZone()),
                         fate.where.substr(0, 200), fmt::join(fate.victims, " "));
    };
    counts_.wrong += fmt::format("seed {}, job {} at {}\n  planned {}\n  seen    {}\n  {}\n", seed_,
                                 job, absl::FormatTime(world_->now(), absl::UTCTimeZone()),
                                 text(planned), text(seen), reason);
  }

  const uint64_t seed_;
  const uint32_t nodes_;
  MixedLoad load_;
  std::unique_ptr<ScriptedWorld> world_;
  Counts counts_;
  uint64_t wrongs_ = 0;
  std::map<uint64_t, Fate> planned_;  // of those that wait
};

uint64_t Number(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(PlanTruth, APlanIsWhatThenHappens) {
  const uint64_t submissions = Number("MUSTER_PLAN_SUBMISSIONS", 1'000);
  Counts sum;
  uint64_t done = 0, seed = Number("MUSTER_PLAN_SEED", 1);
  for (; done < submissions; ++seed) {
    const uint64_t part = std::min(kPerWorld, submissions - done);
    sum += World(seed).Run(part);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    done += part;
  }
  Tally all = sum.at_once;
  all += sum.alone;
  fmt::print(
      "{} submissions in {} worlds, {:.0f} % of the slots held, {} preemptions, {} inputs; {} "
      "plans without a time, {} of them because there was too much to look at\n",
      done, (done + kPerWorld - 1) / kPerWorld, 100 * sum.held / double(done), sum.preemptions,
      sum.inputs, sum.no_time, sum.gave_up);
  fmt::print("{:<36}{:>8}{:>8}{:>11}{:>9}{:>9}{:>9}{:>9}\n", "plan", "asked", "same", "", "earlier",
             "later", "place", "victims");
  fmt::print("{}{}{}{}{}", sum.at_once.Row("starts at once"),
             sum.alone.Row("waits, nobody else comes"), all.Row("all of these"),
             sum.crowd.Row("waits, others come (not claimed)"), sum.wrong);
  EXPECT_EQ(all.asked, done);
  EXPECT_GE(all.same * 100, all.asked * 99);
  EXPECT_GE(sum.at_once.same * 100, sum.at_once.asked * 99) << "what fits now";
  EXPECT_GE(sum.alone.same * 100, sum.alone.asked * 99) << "what waits";
  EXPECT_LE(sum.no_time * 10, done) << "too few plans name a time";
  EXPECT_GE(sum.at_once.asked * 10, done) << "the load is not mixed: nearly everything waits";
  EXPECT_GE(sum.alone.asked * 10, done) << "the load is not mixed: nearly nothing waits";
  EXPECT_GT(sum.preemptions * 100, done) << "the load is not mixed: nobody is preempted";
}

}  // namespace
}  // namespace muster::coordinator::core
