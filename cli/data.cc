#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/session.h"
#include "common/status.h"

namespace muster::cli {
namespace {

struct PrepareOptions {
  std::string source;
  std::string out;
  std::string tokenizer = "byte";
  uint64_t vocab = 4096;
  std::vector<std::string> globs;
  double held_out = 0.02;
};

// Becomes muster-data (see dataset/main.cc for why it is a program of its own).
absl::StatusOr<int> MusterData(const Session& session, std::vector<std::string> words) {
  if (session.machine_readable()) words.insert(words.begin(), "--json");  // JSON is YAML, too
  return Become(session, "muster-data", words);
}

absl::StatusOr<int> Prepare(const Session& session, const PrepareOptions& options) {
  std::vector<std::string> words = {"prepare",     options.source,
                                    "--out",       options.out,
                                    "--tokenizer", options.tokenizer,
                                    "--vocab",     std::to_string(options.vocab),
                                    "--held-out",  fmt::format("{}", options.held_out)};
  for (const std::string& glob : options.globs) words.insert(words.end(), {"--glob", glob});
  return MusterData(session, std::move(words));
}

absl::StatusOr<int> Show(const Session& session, const std::string& folder, bool verify) {
  std::vector<std::string> words = {"show", folder};
  if (verify) words.emplace_back("--verify");
  return MusterData(session, std::move(words));
}

}  // namespace

Command DataCommand(Session* session) {
  auto options = std::make_shared<PrepareOptions>();
  Command prepare;
  prepare.name = "prepare";
  prepare.summary = "Turn a folder of text into token shards";
  prepare.examples = R"(  muster data prepare /usr/lib/python3.11 --out data/stdlib --tokenizer byte
  muster data prepare books/ --out data/books --tokenizer bpe --vocab 8192 --glob '*.txt'
Run again, it goes on where it was stopped, and does nothing when nothing changed.)";
  prepare.options = {
      {"SRC", &options->source, "folder of text, or one file", true, {}},
      {"--out", &options->out, "folder to write", true, {}},
      {"--tokenizer", &options->tokenizer, "byte (default) or bpe", false, {"byte", "bpe"}},
      {"--vocab", &options->vocab, "tokens of a bpe tokenizer (4096)", false, {}},
      {"--glob", &options->globs, "file names to take; may be given again", false, {}},
      {"--held-out",
       &options->held_out,
       "share of documents kept for evaluation (0.02)",
       false,
       {}}};
  prepare.run = [session, options] { return Prepare(*session, *options); };

  auto folder = std::make_shared<std::string>();
  auto verify = std::make_shared<bool>(false);
  Command show;
  show.name = "show";
  show.summary = "What a prepared folder holds";
  show.examples = "  muster data show data/stdlib\n  muster data show data/stdlib --verify";
  show.options = {{"DIR", folder.get(), "folder made by prepare", true, {}},
                  {"--verify", verify.get(), "read every byte and compare", false, {}}};
  show.run = [session, folder, verify] { return Show(*session, *folder, *verify); };

  Command command;
  command.name = "data";
  command.summary = "Training data: prepare and look at it";
  command.examples =
      "  muster data prepare /usr/lib/python3.11 --out data/stdlib\n"
      "  muster data show data/stdlib";
  command.children = {prepare, show};
  return command;
}

}  // namespace muster::cli
