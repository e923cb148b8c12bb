// The small parts: job document, command line, failure hook, drawing tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/loop/job.h"
#include "trainer/loop/command_line.h"
#include "trainer/loop/config.h"
#include "trainer/loop/fail_injection.h"
#include "trainer/loop/model_json.h"
#include "trainer/loop/sampling.h"
#include "trainer/loop/stragglers.h"

namespace muster::trainer::loop {
namespace {

using testing::HasSubstr;

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Stragglers, CountWhatIsBeyondOneAndAHalfMedians) {
  Stragglers steps;
  const auto add = [&steps](double seconds) {
    const double before = steps.seconds();
    steps.Add(seconds);
    return steps.seconds() - before;
  };
  EXPECT_DOUBLE_EQ(add(9), 0) << "the first is its own median";
  EXPECT_DOUBLE_EQ(add(2), 0);
  EXPECT_DOUBLE_EQ(add(2), 0);
  EXPECT_DOUBLE_EQ(add(3), 0) << "1.5 medians are not yet slow";
  EXPECT_DOUBLE_EQ(add(10), 10 - 1.5 * 3) << "2, 2, 3, 9, 10";
  EXPECT_DOUBLE_EQ(add(4), 0) << "2, 2, 3, 4, 9, 10: of two in the middle the shorter";
  EXPECT_DOUBLE_EQ(add(4.5), 0);
  EXPECT_DOUBLE_EQ(add(7), 7 - 1.5 * 4);
}

TEST(TrainConfig, ReadsACompleteDocument) {
  const auto config = ParseTrainConfig(
      JobDocument({.mesh = "data: 2, tensor: {size: 2, within: node}", .micro_batch = 2}), "job");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->mesh.ToString(), "data=2,tensor=2");
  EXPECT_EQ(config->MicroBatchesPerRank(), 2);
  EXPECT_EQ(config->adamw.beta2, 0.95);
  EXPECT_EQ(config->schedule.total_steps, 6u);
  EXPECT_EQ(config->reproducible, optim::Reproducible::kLayout);
  EXPECT_EQ(config->digest.size(), 64u);
  EXPECT_EQ(config->save_every_seconds, 0);
}

TEST(TrainConfig, ReadsWhenToSaveCompareAndKeep) {
  const auto config = ParseTrainConfig(
      JobDocument({.save_every_text = "1h1m1.5s", .keep_every = 500, .compare_every = 7}), "job");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->save_every_seconds, 3661.5);
  EXPECT_EQ(config->keep_every_steps, 500u);
  EXPECT_EQ(config->compare_every_steps, 7u);
}

TEST(TrainConfig, NamesWhatIsWrong) {
  struct Case {
    const char* name;
    const char* from;
    const char* to;
    const char* message;
  };
  const Case cases[] = {
      {"missing key", "beta1: 0.9, ", "",
       "job.yaml: missing train.optimizer.beta1; complete the file with: muster validate -o yaml "
       "job.yaml"},
      {"missing section", "mesh: {data: 1}", "", "job.yaml: missing mesh; complete the file"},
      {"wrong type", "lr: 1.0e-2", "lr: fast", "job.yaml: train.optimizer.lr must be a number"},
      {"zero", "micro: 1", "micro: 0", "job.yaml: train.batch.micro is 0, must be at least 1"},
      {"negative", "steps: 6", "steps: -1", "job.yaml: train.steps is -1, must not be negative"},
      {"no steps", "steps: 6", "steps: 0", "job.yaml: train.steps is 0, must be at least 1"},
      {"batch", "micro: 1", "micro: 3",
       "job.yaml: train.batch.global 8 must be a multiple of train.batch.micro 3 × mesh.data 1 = "
       "3"},
      {"word", "reproducible: layout", "reproducible: never",
       "job.yaml: train.reproducible is \"never\", must be run or layout"},
      {"collective", "collective: mpi", "collective: pigeon", "this trainer knows: mpi"},
      {"mesh", "{data: 1}", "{data: 1, time: 2}", "time"},
      {"duration", "ram_every_steps: 0", "ram_every_steps: 0, every: soon",
       "job.yaml: checkpoint.every: \"soon\" is not a duration"},
      {"not yaml", "name: tiny", "name: [", "job.yaml: line "},
  };
  for (const Case& test : cases) {
    const auto config = ParseTrainConfig(Replaced(JobDocument({}), test.from, test.to), "job.yaml");
    ASSERT_FALSE(config.ok()) << test.name;
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << test.name;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(test.message)) << test.name;
  }
}

CommandLine Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "muster-train");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

TEST(CommandLine, ReadsRun) {
  const CommandLine line = Parse({"run", "--config", "job.json", "--resume", "resume.json",
                                  "--checkpoints", "ck/a", "--attempt", "3"});
  ASSERT_EQ(line.verb, Verb::kRun) << line.message;
  EXPECT_EQ(line.run.config, "job.json");
  EXPECT_EQ(line.run.resume, "resume.json");
  EXPECT_EQ(line.run.checkpoints, "ck/a");
  EXPECT_EQ(line.run.attempt, 3u);
  EXPECT_FALSE(Parse({"run", "--config", "x"}).run.attempt.has_value());
}

TEST(CommandLine, ReadsSampleAndEval) {
  const CommandLine sample = Parse({"sample", "--checkpoint", "ck", "--prompt", "def ", "--tokens",
                                    "7", "--temperature", "0", "--top-k", "5", "--seed", "9"});
  ASSERT_EQ(sample.verb, Verb::kSample) << sample.message;
  EXPECT_EQ(sample.sample.sampling.prompt, "def ");
  EXPECT_EQ(sample.sample.sampling.tokens, 7u);
  EXPECT_EQ(sample.sample.sampling.temperature, 0.0);
  EXPECT_EQ(sample.sample.sampling.top_k, 5u);
  EXPECT_EQ(Parse({"eval", "--checkpoint", "ck"}).verb, Verb::kEval);
}

TEST(CommandLine, MistakesExitWithTwoAndHelpWithZero) {
  for (const auto& arguments :
       std::vector<std::vector<const char*>>{{},
                                             {"run"},
                                             {"run", "--config"},
                                             {"run", "--config", "x", "--attempt", "many"},
                                             {"walk"},
                                             {"run", "--config", "x", "--nonsense"},
                                             {"eval", "--checkpoint", "x", "--samples", "0"}}) {
    const CommandLine line = Parse(arguments);
    EXPECT_EQ(line.verb, Verb::kExit);
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_THAT(line.message, HasSubstr("muster-train: "));
  }
  EXPECT_EQ(Parse({"--help"}).exit_code, 0);
  EXPECT_THAT(Parse({"run", "--help"}).message, HasSubstr("--resume"));
}

TEST(FailInjection, ParsesItsForm) {
  const auto fail = ParseFailInjection("rank=2,step=17,how=hang,attempt=1");
  ASSERT_TRUE(fail.ok()) << fail.status();
  EXPECT_EQ(fail->rank, 2);
  EXPECT_EQ(fail->step, 17u);
  EXPECT_EQ(fail->how, FailInjection::How::kHang);
  EXPECT_EQ(fail->attempt, 1u);
  for (const char* text : {"rank=2", "rank=x,step=1,how=abort", "rank=1,step=1,how=sulk",
                           "rank=1,step=1,how=abort,when=now", "nonsense"}) {
    EXPECT_EQ(ParseFailInjection(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(FailInjection, FailsOnlyAtItsMoment) {
  const FailInjection fail{.rank = 1, .step = 4, .how = FailInjection::How::kExit1, .attempt = 2};
  fail.MaybeFail(0, 4, 2);
  fail.MaybeFail(1, 3, 2);
  fail.MaybeFail(1, 4, 1);
  EXPECT_EXIT(fail.MaybeFail(1, 4, 2), testing::ExitedWithCode(1), "rank 1 fails in step 4");
}

TEST(DrawToken, FollowsTheOptions) {
  const std::vector<float> logits = {0.0F, 3.0F, 2.9F, -1.0F};
  EXPECT_EQ(DrawToken(logits, {.temperature = 0}, 1), 1u);
  EXPECT_EQ(DrawToken(logits, {.temperature = 9, .top_k = 1}, 1), 1u);
  std::vector<int> counts(4, 0);
  for (uint64_t draw = 0; draw < 4000; ++draw) {
    const SamplingOptions options{.temperature = 1, .top_k = 2, .seed = 3};
    const uint32_t token = DrawToken(logits, options, draw);
    EXPECT_EQ(token, DrawToken(logits, options, draw));
    ++counts[token];
  }
  EXPECT_EQ(counts[0] + counts[3], 0);
  EXPECT_NEAR(counts[1] / 4000.0, 1 / (1 + std::exp(-0.1)), 0.03);
}

TEST(ModelJson, RoundTripsAndRefusesNonsense) {
  const parallel::ModelConfig config{.layers = 2,
                                     .d_model = 32,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .ffn = 64,
                                     .context = 16,
                                     .vocab = 257};
  const std::string text = ModelJson(config);
  const auto parsed = ParseModelJson(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(ModelJson(*parsed), text);
  EXPECT_EQ(ParseModelJson("{}").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseModelJson("nonsense").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace muster::trainer::loop
