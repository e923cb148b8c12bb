#include "sim/replay/workload.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/check.h"
#include "spec/defaults.h"
#include "spec/validate.h"

namespace muster::sim::replay {
namespace {

v1::JobSpec Trainer(const std::string& name, uint32_t nodes, uint64_t steps, uint64_t save_every) {
  v1::JobSpec spec = spec::DefaultTrainJob();
  spec.set_name(name);
  v1::Axis* data = spec.add_mesh();
  data->set_name("data");
  data->set_size(nodes);
  v1::Axis* tensor = spec.add_mesh();
  tensor->set_name("tensor");
  tensor->set_size(kSlots);
  tensor->set_within(v1::DOMAIN_NODE);
  v1::TrainSpec* train = spec.mutable_train();
  train->set_steps(steps);
  train->mutable_model()->set_layers(1);
  train->mutable_model()->set_d_model(64);
  train->mutable_model()->set_heads(kSlots);
  train->mutable_model()->set_kv_heads(kSlots);
  train->mutable_model()->set_ffn(64);
  train->mutable_model()->set_context(16);
  train->mutable_data()->set_path("/data");
  train->mutable_batch()->set_global(nodes);
  train->mutable_batch()->set_micro(1);
  train->mutable_optimizer()->set_lr(1e-3);
  spec.mutable_checkpoint()->set_path("/checkpoints");
  spec.mutable_checkpoint()->set_every_steps(static_cast<uint32_t>(save_every));
  spec.mutable_checkpoint()->set_keep(2);
  spec::FillDerived(&spec);
  return spec;
}

void CheckValid(const v1::JobSpec& spec) {
  const absl::Status valid = spec::ValidateJobSpec(spec);
  CHECK(valid.ok(), "a job of the replay is not valid: {}", std::string(valid.message()));
}

v1::JobSpec BigTrainer(const BigJob& big) {
  v1::JobSpec spec = Trainer("big", big.nodes, big.steps, big.save_every);
  spec.mutable_schedule()->set_priority(100);
  spec.mutable_schedule()->set_preemptible(false);
  spec.mutable_recovery()->set_attempts_without_progress(20);
  if (big.hold_spares) {
    spec.mutable_recovery()->set_hot_spares(big.spares);
    spec.mutable_recovery()->set_lend_spares(big.spares > 0);
  }
  if (big.shrink_to > 0) spec.mutable_mesh(0)->set_min(big.shrink_to);
  return spec;
}

}  // namespace

absl::Status ValidateBigJob(const BigJob& big) { return spec::ValidateJobSpec(BigTrainer(big)); }

v1::JobSpec BigJobSpec(const BigJob& big) {
  v1::JobSpec spec = BigTrainer(big);
  CheckValid(spec);
  return spec;
}

v1::JobSpec SmallJobSpec(const SmallJobs& small, uint64_t number, Micros step, Random& dice) {
  const auto nodes = static_cast<uint32_t>(1 + dice.Below(std::max(1u, small.nodes_max)));
  const Micros runs = std::max(5 * kMinute, dice.Exponential(small.runs_mean));
  const auto steps = static_cast<uint64_t>(std::max<Micros>(1, runs / step));
  const auto save_every = static_cast<uint64_t>(std::max<Micros>(1, 10 * kMinute / step));
  v1::JobSpec spec = Trainer(fmt::format("small-{}", number), nodes, steps, save_every);
  CheckValid(spec);
  return spec;
}

}  // namespace muster::sim::replay
