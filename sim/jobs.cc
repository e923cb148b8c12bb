#include "sim/jobs.h"

#include <fmt/format.h>

#include <algorithm>

namespace muster::sim {
namespace {

const JobKind& DrawKind(const Case& conf, Random& dice) {
  double sum = 0;
  for (const JobKind& kind : conf.jobs) sum += kind.weight;
  double at = dice.Unit() * sum;
  for (const JobKind& kind : conf.jobs) {
    at -= kind.weight;
    if (at < 0) return kind;
  }
  return conf.jobs.back();
}

v1::Domain DomainNamed(const std::string& name) {
  return name == "node"     ? v1::DOMAIN_NODE
         : name == "nvlink" ? v1::DOMAIN_NVLINK
         : name == "rack"   ? v1::DOMAIN_RACK
         : name == "pod"    ? v1::DOMAIN_POD
                            : v1::DOMAIN_UNSPECIFIED;
}

}  // namespace

JobDraw DrawJob(const Case& conf, Random& dice, uint64_t number, uint64_t newest) {
  const JobKind& kind = DrawKind(conf, dice);
  const auto draw = [&](const Range& range) { return dice.Between(range.low, range.high); };
  const auto small = [&](const Range& range) { return static_cast<uint32_t>(draw(range)); };
  JobDraw out;
  v1::JobSpec& spec = out.spec;
  out.user = fmt::format("user{}", 1 + dice.Below(static_cast<uint64_t>(conf.users)));
  spec.set_name(fmt::format("j{}", number));
  const uint32_t tensor = std::max(1u, small(kind.tensor));
  const uint32_t ranks = std::max(1u, small(kind.ranks));
  v1::Axis* data = spec.add_mesh();
  data->set_name("data");
  data->set_size(std::max(1u, ranks / tensor));
  if (tensor > 1) {
    v1::Axis* inner = spec.add_mesh();
    inner->set_name("tensor");
    inner->set_size(tensor);
    inner->set_within(DomainNamed(kind.tensor_within));
  }
  spec.mutable_resources()->set_slots_per_rank(std::max(1u, small(kind.slots_per_rank)));
  spec.mutable_resources()->set_exclusive(dice.Chance(kind.exclusive));
  spec.mutable_train()->set_steps(static_cast<uint64_t>(std::max<int64_t>(1, draw(kind.steps))));
  spec.mutable_train()->set_seed(static_cast<uint64_t>(std::max<int64_t>(1, draw(kind.step))));
  if (dice.Chance(kind.broken)) spec.mutable_train()->mutable_data()->set_path("broken");
  if (kind.bug > 0 && dice.Chance(kind.bug)) {
    const uint64_t at = 1 + dice.Below(spec.train().steps());
    spec.mutable_train()->mutable_data()->set_path(fmt::format("bug {}", at));
  }
  if (kind.panic > 0 && dice.Chance(kind.panic)) {
    const uint64_t at = 1 + dice.Below(spec.train().steps());
    spec.mutable_train()->mutable_data()->set_path(fmt::format("panic {}", at));
  }
  if (kind.shrinks > 0 && dice.Chance(kind.shrinks)) {
    spec.mutable_mesh(0)->set_min(1 + static_cast<uint32_t>(dice.Below(data->size())));
    // A batch that some sizes divide and some do not.
    spec.mutable_train()->mutable_batch()->set_global(data->size() * 12);
    spec.mutable_train()->mutable_batch()->set_micro(1);
    if (dice.Chance(0.5)) spec.mutable_recovery()->mutable_grow_after()->set_seconds(10);
  }
  spec.mutable_checkpoint()->set_every_steps(small(kind.save_every));
  spec.mutable_checkpoint()->set_keep(small(kind.keep));
  spec.mutable_checkpoint()->set_path("/checkpoints");
  v1::ScheduleSpec& schedule = *spec.mutable_schedule();
  schedule.set_queue(kind.queue);
  schedule.set_priority(static_cast<int32_t>(draw(kind.priority)));
  schedule.set_hold(dice.Chance(kind.held));
  const int64_t limit_us = draw(kind.time_limit);
  if (limit_us > 0) {
    schedule.mutable_time_limit()->set_seconds(limit_us / kSecond);
    schedule.mutable_time_limit()->set_nanos(static_cast<int32_t>(limit_us % kSecond) * 1000);
  }
  const uint32_t array = small(kind.array);
  if (array > 1) {
    schedule.mutable_array()->set_count(array);
    schedule.mutable_array()->set_at_once(static_cast<uint32_t>(dice.Below(array + 1)));
  }
  if (newest > 0 && dice.Chance(kind.depends)) {
    v1::Dependency* after = schedule.add_after();
    after->set_job(fmt::format("{}", newest));
    after->set_when(v1::AFTER_EVENT_ENDED);
  }
  spec.mutable_recovery()->set_hot_spares(small(kind.spares));
  if (kind.lend > 0) spec.mutable_recovery()->set_lend_spares(dice.Chance(kind.lend));
  return out;
}

}  // namespace muster::sim
