#include "tests/unit/core/mixed_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace muster::coordinator::core {
namespace {

constexpr uint32_t kSlots = 8;
constexpr uint64_t kToFill = 60;  // submissions until the cluster is full

void AddAxis(v1::JobSpec& spec, const char* name, uint64_t size, v1::Domain within) {
  v1::Axis* added = spec.add_mesh();
  added->set_name(name);
  added->set_size(static_cast<uint32_t>(size));
  added->set_within(within);
}

void SetMilliseconds(uint64_t ms, google::protobuf::Duration* duration) {
  duration->set_seconds(static_cast<int64_t>(ms / 1'000));
  duration->set_nanos(static_cast<int32_t>(ms % 1'000) * 1'000'000);
}

double SlotSeconds(const v1::JobSpec& spec) {
  double slots = std::max(1u, spec.schedule().array().count());
  for (const v1::Axis& axis : spec.mesh()) slots *= axis.size();
  return slots * static_cast<double>(spec.schedule().time_limit().seconds());
}

}  // namespace

std::vector<v1::QueueSpec> MixedLoad::Queues() const {
  const uint32_t slots = nodes_ * kSlots;
  const auto queue = [](const char* name, int32_t priority, double weight, uint32_t quota) {
    v1::QueueSpec spec;
    spec.set_name(name);
    spec.set_priority(priority);
    spec.set_weight(weight);
    spec.set_quota(quota);
    return spec;
  };
  std::vector<v1::QueueSpec> queues = {queue("research", 0, 2, slots / 2), queue("batch", 0, 1, 0),
                                       queue("prod", 5, 1, slots / 4)};
  queues[0].set_user_limit(slots / 2);
  queues[1].set_limit(slots * 3 / 4);
  return queues;
}

v1::JobSpec MixedLoad::Job(const std::set<uint64_t>& jobs) {
  v1::JobSpec spec;
  spec.set_name(fmt::format("j{}", ++made_));
  spec.mutable_resources()->set_slots_per_rank(1);
  spec.mutable_program()->add_command("train");
  Shape(spec);
  Place(spec);
  Schedule(spec, jobs);
  return spec;
}

// Most jobs are small, most slots go to large ones.
void MixedLoad::Shape(v1::JobSpec& spec) {
  const uint64_t dice = Below(100);
  if (dice < 40) {
    AddAxis(spec, "data", 1 + Below(8), v1::DOMAIN_UNSPECIFIED);
  } else if (dice < 65) {
    AddAxis(spec, "data", 1 + Below(4), v1::DOMAIN_UNSPECIFIED);
    AddAxis(spec, "tensor", Chance(50) ? 4 : 8, v1::DOMAIN_NODE);
  } else if (dice < 80) {
    AddAxis(spec, "data", 8 + Below(57), v1::DOMAIN_UNSPECIFIED);
  } else if (dice < 92) {
    AddAxis(spec, "data", 1 + Below(4), v1::DOMAIN_UNSPECIFIED);
    AddAxis(spec, "pipe", 2 + 2 * Below(2), v1::DOMAIN_RACK);
    AddAxis(spec, "tensor", 8, v1::DOMAIN_NODE);
  } else {
    AddAxis(spec, "data", 8 + Below(nodes_ / 4), v1::DOMAIN_UNSPECIFIED);
    AddAxis(spec, "tensor", 8, v1::DOMAIN_NODE);
  }
}

void MixedLoad::Place(v1::JobSpec& spec) {
  const uint32_t outer = spec.mesh(0).size();
  if (outer > 1 && outer <= 8 && Chance(10)) {
    v1::SpreadSpec* spread = spec.mutable_placement()->mutable_spread();
    spread->set_axis("data");
    spread->set_across(spec.mesh_size() == 1 && Chance(50) ? v1::DOMAIN_NODE : v1::DOMAIN_RACK);
    if (Chance(50)) spread->set_at_least(2);
  }
  if (Chance(4)) spec.mutable_resources()->set_exclusive(true);
  if (spec.mesh_size() > 1 && Chance(8)) {
    spec.mutable_recovery()->set_hot_spares(1);
    spec.mutable_recovery()->set_lend_spares(Chance(50));
  }
}

void MixedLoad::Schedule(v1::JobSpec& spec, const std::set<uint64_t>& jobs) {
  v1::ScheduleSpec* schedule = spec.mutable_schedule();
  const char* queues[] = {"research", "research", "batch", "batch", "prod", "default"};
  schedule->set_queue(queues[Below(6)]);
  schedule->set_priority(static_cast<int32_t>(Chance(10) ? 10 : Below(3)));
  const bool small = spec.mesh_size() == 1 && spec.mesh(0).size() <= 8;
  if (Chance(10) && schedule->queue() == "research") schedule->set_preemptible(false);
  SetMilliseconds(30'000 + Below(3'600'000), schedule->mutable_time_limit());
  if (small && Chance(20)) SetMilliseconds(60'000, schedule->mutable_time_limit());
  if (small && Chance(2)) schedule->clear_time_limit();
  if (Chance(80)) SetMilliseconds(10'000 + Below(60'000), schedule->mutable_preempt_grace());
  if (small && Chance(8)) {
    schedule->mutable_array()->set_count(static_cast<uint32_t>(2 + Below(6)));
    schedule->mutable_array()->set_at_once(static_cast<uint32_t>(Below(4)));
  }
  if (!jobs.empty() && Chance(6)) {
    const v1::AfterEvent events[] = {v1::AFTER_EVENT_STARTED, v1::AFTER_EVENT_ENDED,
                                     v1::AFTER_EVENT_SUCCEEDED};
    v1::Dependency* after = schedule->add_after();
    after->set_job(
        std::to_string(*std::next(jobs.begin(), static_cast<std::ptrdiff_t>(Below(jobs.size())))));
    after->set_when(events[Below(3)]);
  }
  if (Chance(1)) schedule->set_hold(true);
}

absl::Duration MixedLoad::Gap(uint64_t index) {
  if (mean_work_ == 0) {
    MixedLoad other = *this;
    other.mean_work_ = 1;
    for (int i = 0; i < 400; ++i) mean_work_ += SlotSeconds(other.Job({})) / 400;
  }
  const double turn = static_cast<double>(index / 50 % 4);
  const double load = index < kToFill ? 3 : 0.8 + 0.1 * turn;
  std::exponential_distribution<double> gap(nodes_ * kSlots * load / mean_work_);
  return absl::Milliseconds(static_cast<int64_t>(1'000 * gap(random_)));
}

void MixedLoad::Intervene(ScriptedWorld& world) {
  if (world.jobs().empty() || !Chance(12)) return;
  const uint64_t job =
      *std::next(world.jobs().begin(), static_cast<std::ptrdiff_t>(Below(world.jobs().size())));
  switch (Below(8)) {
    case 0:
      return world.Control(job, v1::JOB_ACTION_HOLD);
    case 1:
      return world.Control(job, v1::JOB_ACTION_SUSPEND);
    case 2:
      return world.Control(job, v1::JOB_ACTION_REQUEUE);
    case 3:
      return world.Cancel(job);
    default:
      // Most of what is held goes on again.
      for (const uint64_t held : std::set<uint64_t>(world.jobs())) {
        if (Chance(50)) world.Control(held, v1::JOB_ACTION_RELEASE);
        if (Chance(50)) world.Control(held, v1::JOB_ACTION_RESUME);
      }
  }
}

}  // namespace muster::coordinator::core
