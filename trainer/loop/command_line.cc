#include "trainer/loop/command_line.h"

#include <CLI/CLI.hpp>

namespace muster::trainer::loop {

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  CLI::App app(
      "Trains a language model as one rank of a job; samples from and evaluates its "
      "checkpoints.\nExit codes: 0 done, 1 error, 2 usage or job file, 3 a person must "
      "act (data changed, all checkpoints damaged), 75 stopped by order after a save.",
      "muster-train");
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();

  CLI::App* run = app.add_subcommand("run", "train; one process per rank (muster or mpirun)");
  run->add_option("--config", line.run.config, "complete job document, YAML or JSON")->required();
  run->add_option("--resume", line.run.resume,
                  "resume.json: permitted checkpoints, newest first (without: the newest good one "
                  "in the folder)");
  run->add_option("--checkpoints", line.run.checkpoints,
                  "folder of this job's checkpoints (default: checkpoint.path/name)");
  run->add_option("--attempt", line.run.attempt,
                  "number of this attempt (default: one more than any in the folder)");

  CLI::App* sample = app.add_subcommand("sample", "generate text from a checkpoint");
  sample->add_option("--checkpoint", line.sample.checkpoint, "a checkpoint, or a job's folder")
      ->required();
  sample->add_option("--data", line.sample.data,
                     "dataset with the tokenizer (default: the one trained on)");
  SamplingOptions& sampling = line.sample.sampling;
  sample->add_option("--prompt", sampling.prompt, "text to go on from");
  sample->add_option("--tokens", sampling.tokens, "tokens to draw");
  sample->add_option("--temperature", sampling.temperature, "0 = always the likeliest")
      ->check(CLI::NonNegativeNumber);
  sample->add_option("--top-k", sampling.top_k, "draw among the k likeliest; 0 = all");
  sample->add_option("--seed", sampling.seed, "of the draws");

  CLI::App* eval = app.add_subcommand("eval", "held-out bits per byte of a checkpoint");
  eval->add_option("--checkpoint", line.eval.checkpoint, "a checkpoint, or a job's folder")
      ->required();
  eval->add_option("--data", line.eval.data, "dataset (default: the one trained on)");
  eval->add_option("--samples", line.eval.samples, "held-out windows")->check(CLI::PositiveNumber);
  eval->add_option("--batch", line.eval.batch, "windows at a time")->check(CLI::Range(1, 4096));

  CLI::App* logits = app.add_subcommand(
      "logits", "one JSON line per prompt: its tokens, and the logits of the next one");
  logits->add_option("--checkpoint", line.logits.checkpoint, "a checkpoint, or a job's folder")
      ->required();
  logits->add_option("--data", line.logits.data,
                     "dataset with the tokenizer (default: the one trained on)");
  logits->add_option("--prompt", line.logits.prompts, "text; may be repeated")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool help = error.get_exit_code() == 0;
    line.exit_code = help ? 0 : 2;
    const CLI::App* about = &app;
    for (const CLI::App* verb : {run, sample, eval, logits}) {
      if (verb->parsed()) about = verb;
    }
    line.message =
        help ? about->help()
             : "muster-train: " + std::string(error.what()) + "; see muster-train --help\n";
    return line;
  }
  line.verb = run->parsed()      ? Verb::kRun
              : sample->parsed() ? Verb::kSample
              : eval->parsed()   ? Verb::kEval
                                 : Verb::kLogits;
  return line;
}

}  // namespace muster::trainer::loop
