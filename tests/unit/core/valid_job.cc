#include "tests/unit/core/valid_job.h"

#include "common/check.h"
#include "spec/defaults.h"
#include "spec/validate.h"

namespace muster::coordinator::core {

v1::JobSpec ValidJob(const std::string& name, uint32_t ranks, uint64_t steps) {
  v1::JobSpec spec = spec::DefaultTrainJob();
  spec.set_name(name);
  v1::Axis* axis = spec.add_mesh();
  axis->set_name("data");
  axis->set_size(ranks);
  v1::TrainSpec* train = spec.mutable_train();
  train->set_steps(steps);
  train->mutable_model()->set_layers(1);
  train->mutable_model()->set_d_model(16);
  train->mutable_model()->set_heads(1);
  train->mutable_model()->set_ffn(16);
  train->mutable_model()->set_context(16);
  train->mutable_data()->set_path("/data");
  train->mutable_batch()->set_global(60);
  train->mutable_batch()->set_micro(1);
  train->mutable_optimizer()->set_lr(1e-3);
  spec::FillDerived(&spec);
  const absl::Status valid = spec::ValidateJobSpec(spec);
  CHECK(valid.ok(), "the job of the tests is not valid: {}", std::string(valid.message()));
  return spec;
}

}  // namespace muster::coordinator::core
