// Writing a job and reading it again gives the same job.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "job_text.h"
#include "spec/defaults.h"
#include "spec/mesh.h"
#include "spec/validate.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

void ExpectRoundTrip(const v1::JobSpec& spec) {
  for (const std::string& text : {JobSpecToYaml(spec), JobSpecToJson(spec)}) {
    const auto again = ParseJobFile(text, "again");
    ASSERT_TRUE(again.ok()) << again.status() << "\n" << text;
    EXPECT_EQ(again->SerializeAsString(), spec.SerializeAsString()) << text;
  }
}

TEST(RoundTrip, OfTheExample) { ExpectRoundTrip(ParseJobFile(kGoodJob, "good").value()); }

TEST(RoundTrip, OfAProgramWithAwkwardText) {
  v1::JobSpec spec = DefaultProgramJob();
  spec.set_name("awkward");
  v1::Axis* axis = spec.add_mesh();
  axis->set_name("ranks");
  axis->set_size(3);
  axis = spec.add_mesh();
  axis->set_name("inner");
  axis->set_size(2);
  axis->set_within(v1::DOMAIN_NODE);
  for (const char* word : {"bash", "-c",         "echo \"a: b\" # c\nexit 0\n",
                           "",     "true",       "5",
                           "0x10", "~",          "null",
                           "- x",  "{a}",        "[b]",
                           "*c",   "&d",         "!e",
                           "a\tb", "üñí 漢字 🚀", "trailing ",
                           "a:b",  "y",          "1e5",
                           "%x",   "@y",         "`z`",
                           "\\n",  "'q'",        "\x7f"}) {
    spec.mutable_program()->add_command(word);
  }
  for (const char* name : {"Z", "A", "N", "true"}) {
    v1::EnvVar* variable = spec.mutable_program()->add_env();
    variable->set_name(name);
    variable->set_value("0");
  }
  spec.mutable_program()->set_collective(v1::COLLECTIVE_MPI);
  ExpectRoundTrip(spec);
}

TEST(RoundTrip, OfAwkwardNumbers) {
  v1::JobSpec spec = ParseJobFile(kGoodJob, "good").value();
  spec.mutable_train()->set_seed(18446744073709551615u);
  spec.mutable_train()->mutable_optimizer()->set_lr(0.1 + 0.2);
  spec.mutable_train()->mutable_optimizer()->set_eps(4.9406564584124654e-324);
  spec.mutable_train()->mutable_optimizer()->set_clip(0);
  spec.mutable_train()->set_zero(false);
  spec.mutable_checkpoint()->set_keep(0);
  ExpectRoundTrip(spec);
}

TEST(RoundTrip, OfWhenToSaveCompareAndKeep) {
  const auto spec =
      ParseJobFile(With("keep: 3",
                        "keep: 3, every: 1d90.25s, keep_every_steps: 1000, ram_replicas: 0, "
                        "compare_every_steps: 25, keep_best: 2"),
                   "good");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->checkpoint().every().seconds(), 86'490);
  EXPECT_EQ(spec->checkpoint().every().nanos(), 250'000'000);
  EXPECT_EQ(spec->checkpoint().keep_every_steps(), 1000u);
  EXPECT_EQ(spec->checkpoint().ram_replicas(), 0u);
  EXPECT_EQ(spec->checkpoint().compare_every_steps(), 25u);
  EXPECT_EQ(spec->checkpoint().keep_best(), 2u);
  EXPECT_NE(JobSpecToYaml(*spec).find("  every: 1d1m30.25s\n"), std::string::npos);
  ExpectRoundTrip(*spec);
}

TEST(RoundTrip, OfParityInsteadOfCopies) {
  const auto spec = ParseJobFile(With("keep: 3", "keep: 3, ram_parity: 4"), "good");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->checkpoint().ram_parity(), 4u);
  EXPECT_EQ(spec->checkpoint().ram_replicas(), 0u) << "nobody asked for copies";
  ExpectRoundTrip(*spec);
  const auto both =
      ParseJobFile(With("keep: 3", "keep: 3, ram_parity: 4, ram_replicas: 1"), "good");
  EXPECT_EQ(both->checkpoint().ram_replicas(), 1u) << "which is refused then";
}

TEST(JobDocument, HasEveryFieldInProtoOrder) {
  const auto spec = ParseJobFile(kGoodJob, "good").value();
  EXPECT_EQ(JobSpecToYaml(spec), R"(apiVersion: muster/v1
kind: TrainJob
name: gpt-stdlib
mesh: {data: 2, tensor: 2}
resources: {slots_per_rank: 1, device: "", exclusive: false}
train:
  model:
    layers: 4
    d_model: 256
    heads: 8
    kv_heads: 4
    ffn: 688
    context: 256
    rope_theta: 10000.0
    norm_eps: 1e-05
  data: {path: data/stdlib}
  batch: {global: 32, micro: 4}
  optimizer:
    lr: 0.001
    warmup_steps: 20
    weight_decay: 0.1
    clip: 1.0
    beta1: 0.9
    beta2: 0.95
    eps: 1e-08
    min_lr_ratio: 0.1
  eval: {every_steps: 0, samples: 64}
  steps: 200
  seed: 1
  collective: mpi
  reproducible: run
  zero: true
  threads_per_rank: 1
checkpoint:
  path: checkpoints
  every_steps: 20
  keep: 3
  init_from: ""
  ram_every_steps: 0
  keep_every_steps: 0
  ram_replicas: 1
  compare_every_steps: 0
  keep_best: 0
  ram_parity: 0
recovery:
  attempts_without_progress: 3
  hot_spares: 0
  spare_share: 0.0
  lend_spares: false
schedule: {queue: default, priority: 0, preemptible: true, hold: false, after: []}
)");
  const auto json = nlohmann::ordered_json::parse(JobSpecToJson(spec));
  EXPECT_EQ(json["mesh"].dump(), "{\"data\":2,\"tensor\":2}");
  EXPECT_EQ(json["train"]["optimizer"]["lr"], 1e-3);
  EXPECT_EQ(json["train"]["reproducible"], "run");
}

TEST(Defaults, AreKeptUnlessTheFileSaysOtherwise) {
  const auto spec =
      ParseJobFile(With("  steps: 200",
                        "  zero: false\n  reproducible: layout\n  eval: {every_steps: 5}\n"
                        "  steps: 200"),
                   "f")
          .value();
  EXPECT_FALSE(spec.train().zero());
  EXPECT_EQ(spec.train().reproducible(), v1::REPRODUCIBLE_LAYOUT);
  EXPECT_EQ(spec.train().eval().every_steps(), 5u);
  EXPECT_EQ(spec.train().eval().samples(), 64u);
  EXPECT_EQ(spec.train().optimizer().beta2(), 0.95);
}

TEST(Defaults, KeyValueHeadsFollowTheHeads) {
  EXPECT_EQ(ParseJobFile(With("kv_heads: 4, ", ""), "f").value().train().model().kv_heads(), 8u);
}

TEST(Defaults, FillABareSpecFromAnotherClient) {
  v1::JobSpec spec;
  spec.set_name("bare");
  v1::Axis* axis = spec.add_mesh();
  axis->set_name("data");
  axis->set_size(1);
  v1::TrainSpec* train = spec.mutable_train();
  train->mutable_model()->set_layers(1);
  train->mutable_model()->set_d_model(16);
  train->mutable_model()->set_heads(2);
  train->mutable_model()->set_ffn(8);
  train->mutable_model()->set_context(8);
  train->mutable_data()->set_path("/data");
  train->mutable_batch()->set_global(1);
  train->mutable_batch()->set_micro(1);
  train->mutable_optimizer()->set_lr(0.1);
  train->set_steps(1);
  spec.mutable_checkpoint()->set_path("/checkpoints");
  FillUnset(&spec);
  EXPECT_EQ(ValidateJobSpec(spec), absl::OkStatus());
  EXPECT_FALSE(spec.train().zero());  // false is a choice
  const std::string once = spec.SerializeAsString();
  FillUnset(&spec);
  EXPECT_EQ(spec.SerializeAsString(), once);
}

TEST(Mesh, CountsAndNames) {
  auto spec = ParseJobFile(With("tensor: 2", "tensor: {size: 4, within: node}"), "f").value();
  EXPECT_EQ(RankCount(spec), 8u);
  EXPECT_EQ(AxisSize(spec, "tensor"), 4u);
  EXPECT_EQ(AxisSize(spec, "pipeline"), 1u);
  EXPECT_EQ(MeshText(spec), "data=2,tensor=4");
  EXPECT_EQ(RanksPerGroup(spec, v1::DOMAIN_NODE), 4u);
  EXPECT_EQ(RanksPerGroup(ParseJobFile(kGoodJob, "f").value(), v1::DOMAIN_NODE), 1u);
  spec.mutable_mesh(0)->set_size(0);
  EXPECT_EQ(RankCount(spec), 0u);
}

}  // namespace
}  // namespace muster::spec
