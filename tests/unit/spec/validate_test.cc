// Every rule a job must fulfil, with its exact message.
#include "spec/validate.h"

#include <gtest/gtest.h>

#include <functional>

#include "job_text.h"
#include "spec/checkpoints.h"
#include "spec/defaults.h"
#include "spec/names.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

v1::JobSpec GoodJob() { return ParseJobFile(kGoodJob, "good").value(); }

struct Case {
  const char* name;
  std::function<void(v1::JobSpec*)> change;
  std::string message;
};

void ExpectMessages(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    v1::JobSpec spec = GoodJob();
    c.change(&spec);
    const absl::Status status = ValidateJobSpec(spec);
    EXPECT_EQ(std::string(status.message()), c.message) << c.name;
    EXPECT_EQ(status.ok(), c.message.empty()) << c.name;
  }
}

TEST(ValidateJobSpec, AcceptsTheExample) {
  EXPECT_EQ(ValidateJobSpec(GoodJob()), absl::OkStatus());
}

TEST(ValidateJobSpec, ModelMustDivideOverTheMesh) {
  using J = v1::JobSpec*;
  ExpectMessages({
      {"heads over tensor", [](J j) { j->mutable_mesh(1)->set_size(3); },
       "train.model.heads: 8 does not divide over tensor=3 ranks; make it a multiple of 3 or lower "
       "mesh.tensor\n"
       "train.model.kv_heads: 4 does not divide over tensor=3 ranks; make it a multiple of 3 or "
       "lower mesh.tensor\n"
       "train.model.ffn: 688 does not divide over tensor=3 ranks; make it a multiple of 3 or lower "
       "mesh.tensor\n"
       "train.model.context: 256 does not divide over tensor=3 ranks; make it a multiple of 3 or "
       "lower mesh.tensor"},
      {"context over tensor", [](J j) { j->mutable_train()->mutable_model()->set_context(255); },
       "train.model.context: 255 does not divide over tensor=2 ranks; make it a multiple of 2 or "
       "lower mesh.tensor"},
      {"ffn in runs of four", [](J j) { j->mutable_train()->mutable_model()->set_ffn(690); },
       "train.model.ffn: 690 is not a multiple of 4 x tensor = 8; take 696"},
      {"width in runs of sixteen",
       [](J j) { j->mutable_train()->mutable_model()->set_d_model(272); },
       "train.model.d_model: 272 with heads=8; make it a multiple of 16 and of 4 x heads"},
      {"only kv_heads over tensor", [](J j) { j->mutable_mesh(1)->set_size(8); },
       "train.model.kv_heads: 4 does not divide over tensor=8 ranks; make it a multiple of 8 or "
       "lower mesh.tensor\n"
       "train.model.ffn: 688 is not a multiple of 4 x tensor = 32; take 704"},
      {"heads over kv_heads", [](J j) { j->mutable_train()->mutable_model()->set_kv_heads(6); },
       "train.model.kv_heads: 6 does not divide heads=8; every key/value head serves the same "
       "number of heads"},
      {"width over heads", [](J j) { j->mutable_train()->mutable_model()->set_d_model(250); },
       "train.model.d_model: 250 is not a multiple of heads=8; change one of the two"},
      {"odd head width", [](J j) { j->mutable_train()->mutable_model()->set_d_model(264); },
       "train.model.d_model: 264 / heads=8 gives an odd head width 33; rotary positions need an "
       "even one"},
      {"no layers", [](J j) { j->mutable_train()->mutable_model()->set_layers(0); },
       "train.model.layers: missing or 0; give 1 to 10000"},
      {"too many layers", [](J j) { j->mutable_train()->mutable_model()->set_layers(10001); },
       "train.model.layers: 10001; give 1 to 10000"},
      {"negative theta", [](J j) { j->mutable_train()->mutable_model()->set_rope_theta(-1); },
       "train.model.rope_theta: -1; give a number above 0"},
  });
}

TEST(ValidateJobSpec, BatchMustDivideOverTheDataAxis) {
  using J = v1::JobSpec*;
  const auto batch = [](J j, uint32_t global, uint32_t micro) {
    j->mutable_train()->mutable_batch()->set_global(global);
    j->mutable_train()->mutable_batch()->set_micro(micro);
  };
  const auto layout = [](J j) { j->mutable_train()->set_reproducible(v1::REPRODUCIBLE_LAYOUT); };
  ExpectMessages({
      {"not a multiple", [&](J j) { batch(j, 30, 4); },
       "train.batch.global: 30 is not a multiple of mesh.data x batch.micro = 2 x 4 = 8; change "
       "one "
       "of the three"},
      {"no micro", [&](J j) { batch(j, 30, 0); },
       "train.batch.micro: missing or 0; give 1 to 1048576"},
      {"layout with three micro-batches", [&](J j) { batch(j, 24, 4), layout(j); },
       "train.reproducible: layout needs a power of two of micro-batches per data rank, here 3 = "
       "24 / (2 x 4); change train.batch or write run"},
      {"layout with four", [&](J j) { batch(j, 32, 4), layout(j); }, ""},
      {"layout, any number on one data rank",
       [&](J j) { batch(j, 24, 4), layout(j), j->mutable_mesh(0)->set_size(1); }, ""},
      {"three without layout", [&](J j) { batch(j, 24, 4); }, ""},
  });
}

TEST(ValidateJobSpec, NumbersMustMakeSense) {
  using J = v1::JobSpec*;
  const auto optimizer = [](J j) { return j->mutable_train()->mutable_optimizer(); };
  ExpectMessages({
      {"no steps", [](J j) { j->mutable_train()->set_steps(0); },
       "train.steps: missing or 0; give the number of optimizer steps"},
      {"no lr", [&](J j) { optimizer(j)->set_lr(0); },
       "train.optimizer.lr: missing or 0; give the peak learning rate, for example 1.0e-3"},
      {"negative lr", [&](J j) { optimizer(j)->set_lr(-0.1); },
       "train.optimizer.lr: -0.1; give a number above 0"},
      {"endless lr", [&](J j) { optimizer(j)->set_lr(INFINITY); },
       "train.optimizer.lr: inf; give a number above 0"},
      {"negative decay", [&](J j) { optimizer(j)->set_weight_decay(-1); },
       "train.optimizer.weight_decay: -1; give 0 to 100"},
      {"negative clip", [&](J j) { optimizer(j)->set_clip(-1); },
       "train.optimizer.clip: -1; give a gradient norm above 0, or 0 for no clipping"},
      {"beta of one", [&](J j) { optimizer(j)->set_beta2(1); },
       "train.optimizer.beta2: 1; give 0 to below 1"},
      {"ratio above one", [&](J j) { optimizer(j)->set_min_lr_ratio(1.5); },
       "train.optimizer.min_lr_ratio: 1.5; give 0 to 1"},
      {"warm-up without end", [&](J j) { optimizer(j)->set_warmup_steps(201); },
       "train.optimizer.warmup_steps: 201 is more than train.steps=200; the learning rate would "
       "never be reached"},
      {"no data", [](J j) { j->mutable_train()->mutable_data()->clear_path(); },
       "train.data.path: missing; give the folder that `muster data prepare` made"},
      {"no eval samples", [](J j) { j->mutable_train()->mutable_eval()->set_samples(0); },
       "train.eval.samples: 0; give at least 1"},
      {"no threads", [](J j) { j->mutable_train()->set_threads_per_rank(0); },
       "train.threads_per_rank: 0; give 1 to 1024"},
      {"no slots", [](J j) { j->mutable_resources()->set_slots_per_rank(0); },
       "resources.slots_per_rank: 0; give 1 to 1024"},
      {"no attempts", [](J j) { j->mutable_recovery()->set_attempts_without_progress(0); },
       "recovery.attempts_without_progress: 0; give at least 1"},
      {"no checkpoint folder", [](J j) { j->mutable_checkpoint()->clear_path(); },
       "checkpoint.path: missing; give a folder every node can reach"},
      {"saves in no time", [](J j) { j->mutable_checkpoint()->mutable_every()->set_nanos(1); },
       "checkpoint.every: 0.000000001s; give 1s to 3650d"},
      {"a time that is none",
       [](J j) { j->mutable_checkpoint()->mutable_every()->set_seconds(-1); },
       "checkpoint.every: not a duration; give 1s to 3650d"},
      {"kept steps that are never saved",
       [](J j) {
         j->mutable_checkpoint()->set_every_steps(0);
         j->mutable_checkpoint()->mutable_every()->set_seconds(60);
         j->mutable_checkpoint()->set_keep_every_steps(50);
       },
       "checkpoint.keep_every_steps: 50, but no step is saved for its number; give every_steps, a "
       "divisor of it"},
      {"the best of all",
       [](J j) {
         j->mutable_checkpoint()->set_keep(0);
         j->mutable_checkpoint()->set_keep_best(2);
       },
       "checkpoint.keep_best: 2, but keep: 0 keeps all; say how many of the newest stay"},
      {"more copies than one", [](J j) { j->mutable_checkpoint()->set_ram_replicas(2); },
       "checkpoint.ram_replicas: 2; give 1, or 0 for no copies on other nodes"},
      {"parity of too many",
       [](J j) {
         j->mutable_checkpoint()->set_ram_replicas(0);
         j->mutable_checkpoint()->set_ram_parity(17);
       },
       "checkpoint.ram_parity: 17; give 1 to 16, or 0 for none"},
      {"parity beside copies",
       [](J j) {
         j->mutable_checkpoint()->set_ram_replicas(1);
         j->mutable_checkpoint()->set_ram_parity(4);
       },
       "checkpoint.ram_parity: 4, beside ram_replicas: 1; parity comes instead of copies, give one "
       "of the two"},
      {"a newline in a path", [](J j) { j->mutable_checkpoint()->set_path("/a\nb"); },
       "checkpoint.path: holds a control character; remove it"},
  });
}

TEST(ValidateJobSpec, MeshMustBeKnownAndBounded) {
  using J = v1::JobSpec*;
  ExpectMessages({
      {"no mesh", [](J j) { j->clear_mesh(); },
       "mesh: missing; say how many ranks, for example {data: 2, tensor: 1}"},
      {"empty axis", [](J j) { j->mutable_mesh(0)->set_size(0); },
       "mesh.data: size 0; give at least 1"},
      {"an axis the trainer lacks", [](J j) { j->mutable_mesh(0)->set_name("pipeline"); },
       "mesh.pipeline: the native trainer knows only the axes data and tensor; remove it"},
      {"an axis twice", [](J j) { j->mutable_mesh(1)->set_name("data"); },
       "mesh.data: named twice; give each axis its own name"},
      {"a strange name", [](J j) { j->mutable_mesh(0)->set_name("Data Axis"); },
       "mesh: \"Data Axis\" is not an axis name; use a-z 0-9 _, a letter first, at most 32"},
  });
  v1::JobSpec huge = GoodJob();
  huge.clear_train();
  huge.mutable_program()->add_command("true");
  huge.mutable_mesh(0)->set_size(4'000'000'000u);
  huge.mutable_mesh(1)->set_size(4'000'000'000u);
  EXPECT_EQ(std::string(ValidateJobSpec(huge).message()),
            "mesh: 4294967295 or more ranks; at most 1000000, lower an axis");
}

TEST(ValidateJobSpec, ProgramsThatAskForCheckpointsSayWhere) {
  v1::JobSpec program = DefaultProgramJob();
  program.set_name("mine");
  program.add_mesh()->set_name("ranks");
  program.mutable_mesh(0)->set_size(2);
  program.mutable_program()->add_command("true");
  EXPECT_EQ(ValidateJobSpec(program), absl::OkStatus());
  EXPECT_FALSE(KeepsCheckpoints(program));
  const std::vector<std::function<void(v1::CheckpointSpec*)>> asks = {
      [](v1::CheckpointSpec* c) { c->set_every_steps(5); },
      [](v1::CheckpointSpec* c) { c->mutable_every()->set_seconds(60); },
      [](v1::CheckpointSpec* c) { c->set_ram_every_steps(1); },
      [](v1::CheckpointSpec* c) { c->set_init_from("/ck/other"); },
  };
  for (size_t i = 0; i < asks.size(); ++i) {
    v1::JobSpec asking = program;
    asks[i](asking.mutable_checkpoint());
    EXPECT_EQ(std::string(ValidateJobSpec(asking).message()),
              "checkpoint.path: missing; give a folder every node can reach")
        << i;
    asking.mutable_checkpoint()->set_path("/ck");
    EXPECT_EQ(ValidateJobSpec(asking), absl::OkStatus()) << i;
    EXPECT_TRUE(KeepsCheckpoints(asking));
  }
}

TEST(ValidateJobSpec, ProgramsNeedACommandAndCleanVariables) {
  v1::JobSpec spec = GoodJob();
  spec.mutable_program();
  EXPECT_EQ(std::string(ValidateJobSpec(spec).message()),
            "program.command: missing; give the program and its arguments, for example [python3, "
            "train.py]");
  spec.mutable_program()->add_command("true");
  EXPECT_EQ(ValidateJobSpec(spec), absl::OkStatus());
  for (const char* name : {"1A", "MUSTER_RANK", "OK", "OK"}) {
    spec.mutable_program()->add_env()->set_name(name);
  }
  EXPECT_EQ(std::string(ValidateJobSpec(spec).message()),
            "program.env: \"1A\" is not a variable name; use A-Z a-z 0-9 _, no digit first\n"
            "program.env: MUSTER_RANK is set by muster; choose another name\n"
            "program.env: OK is set twice; keep one");
  spec.clear_program();
  EXPECT_EQ(std::string(ValidateJobSpec(spec).message()),
            "train: neither train nor program; say what the job runs");
}

TEST(CheckJobName, TakesWhatAHostNameTakes) {
  for (const char* good : {"a", "gpt-stdlib", "a1", "a--b"}) EXPECT_TRUE(CheckJobName(good).ok());
  for (const char* bad : {"", "7", "1a", "-a", "a-", "A", "a_b", "a.b", "ä"}) {
    EXPECT_FALSE(CheckJobName(bad).ok()) << bad;
  }
  EXPECT_TRUE(CheckJobName(std::string(63, 'a')).ok());
  EXPECT_FALSE(CheckJobName(std::string(64, 'a')).ok());
}

TEST(Paths, BecomeAbsoluteOnce) {
  v1::JobSpec spec = GoodJob();
  EXPECT_EQ(std::string(RequireAbsolutePaths(spec).message()),
            "train.data.path: \"data/stdlib\" is relative, which means another folder on every "
            "node; give an absolute path\n"
            "checkpoint.path: \"checkpoints\" is relative, which means another folder on every "
            "node; give an absolute path");
  spec.mutable_checkpoint()->set_path("./out");
  MakePathsAbsolute("/home/me", &spec);
  MakePathsAbsolute("/elsewhere", &spec);
  EXPECT_EQ(RequireAbsolutePaths(spec), absl::OkStatus());
  EXPECT_EQ(spec.train().data().path(), "/home/me/data/stdlib");
  EXPECT_EQ(spec.checkpoint().path(), "/home/me/out");
  EXPECT_EQ(spec.checkpoint().init_from(), "");
}

}  // namespace
}  // namespace muster::spec
