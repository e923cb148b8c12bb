#include <fmt/format.h>

#include <memory>

#include "cli/checkpoint_folder.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"

namespace muster::cli {
namespace {

struct SampleOptions {
  std::string word;
  std::string prompt;
  uint64_t tokens = 100;
  double temperature = 0.8;
  uint64_t seed = 1;
};

// Becomes muster-train; returns only if that fails.
absl::StatusOr<int> Sample(Session& session, const SampleOptions& options) {
  const auto folder = FindCheckpointFolder(session, options.word);
  if (!folder.ok()) return During("sample from " + options.word, folder.status());
  return Become(session, "muster-train",
                {"sample", "--checkpoint", folder->path, "--prompt", options.prompt, "--tokens",
                 std::to_string(options.tokens), "--temperature",
                 fmt::format("{}", options.temperature), "--seed", std::to_string(options.seed)});
}

}  // namespace

Command SampleCommand(Session* session) {
  auto options = std::make_shared<SampleOptions>();
  Command command;
  command.name = "sample";
  command.summary = "Let a trained model go on with a text";
  command.examples =
      R"(  muster sample gpt-stdlib --prompt 'def read('          from the job's newest checkpoint
  muster sample checkpoints/gpt-stdlib-7-a1b2c3/step-0000000200.a1 --prompt 'import ' --tokens 50)";
  command.options = {
      {"JOB|DIR", &options->word, "job id or name, or a folder", true, {}},
      {"--prompt", &options->prompt, "text to go on with", false, {}},
      {"--tokens", &options->tokens, "how many to make (100)", false, {}},
      {"--temperature", &options->temperature, "0 = always the likeliest (0.8)", false, {}},
      {"--seed", &options->seed, "another one gives another text (1)", false, {}}};
  command.run = [session, options] { return Sample(*session, *options); };
  return command;
}

}  // namespace muster::cli
