#include "spec/defaults.h"

namespace muster::spec {
namespace {

void FillUnset(v1::TrainSpec* train) {
  v1::ModelSpec* model = train->mutable_model();
  if (model->rope_theta() == 0) model->set_rope_theta(10000);
  if (model->norm_eps() == 0) model->set_norm_eps(1e-5);
  v1::OptimizerSpec* optimizer = train->mutable_optimizer();
  if (optimizer->beta1() == 0) optimizer->set_beta1(0.9);
  if (optimizer->beta2() == 0) optimizer->set_beta2(0.95);
  if (optimizer->eps() == 0) optimizer->set_eps(1e-8);
  if (train->eval().samples() == 0) train->mutable_eval()->set_samples(64);
  train->mutable_data();
  train->mutable_batch();
  if (train->collective() == v1::COLLECTIVE_UNSPECIFIED) train->set_collective(v1::COLLECTIVE_MPI);
  if (train->reproducible() == v1::REPRODUCIBLE_UNSPECIFIED) {
    train->set_reproducible(v1::REPRODUCIBLE_RUN);
  }
  if (train->threads_per_rank() == 0) train->set_threads_per_rank(1);
}

}  // namespace

v1::JobSpec DefaultTrainJob() {
  v1::JobSpec spec;
  v1::TrainSpec* train = spec.mutable_train();
  FillUnset(&spec);
  train->mutable_optimizer()->set_min_lr_ratio(0.1);
  train->mutable_optimizer()->set_clip(1.0);
  train->set_seed(1);
  train->set_zero(true);
  spec.mutable_checkpoint()->set_path("checkpoints");
  spec.mutable_checkpoint()->set_every_steps(100);
  spec.mutable_checkpoint()->set_keep(3);
  return spec;
}

v1::JobSpec DefaultProgramJob() {
  v1::JobSpec spec;
  spec.mutable_program();
  FillUnset(&spec);
  spec.mutable_checkpoint()->set_keep(3);
  return spec;
}

void FillDerived(v1::JobSpec* spec) {
  if (!spec->checkpoint().has_ram_replicas()) {
    spec->mutable_checkpoint()->set_ram_replicas(spec->checkpoint().ram_parity() > 0 ? 0 : 1);
  }
  if (!spec->has_train()) return;
  v1::ModelSpec* model = spec->mutable_train()->mutable_model();
  if (model->kv_heads() == 0) model->set_kv_heads(model->heads());
}

void FillUnset(v1::JobSpec* spec) {
  if (spec->resources().slots_per_rank() == 0) spec->mutable_resources()->set_slots_per_rank(1);
  if (spec->recovery().attempts_without_progress() == 0) {
    spec->mutable_recovery()->set_attempts_without_progress(3);
  }
  v1::ScheduleSpec* schedule = spec->mutable_schedule();
  if (schedule->queue().empty()) schedule->set_queue("default");
  if (!schedule->has_preemptible()) schedule->set_preemptible(true);
  for (v1::Dependency& after : *schedule->mutable_after()) {
    if (after.when() == v1::AFTER_EVENT_UNSPECIFIED) after.set_when(v1::AFTER_EVENT_SUCCEEDED);
  }
  if (spec->has_train()) FillUnset(spec->mutable_train());
  FillDerived(spec);
}

}  // namespace muster::spec
