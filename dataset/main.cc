// muster-data: turns text into token shards, and shows what a prepared folder holds.
//
// A program of its own because SentencePiece carries a protobuf runtime that clashes with the one
// gRPC programs load. `muster data` starts it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/duration.h"
#include "common/status.h"
#include "common/terminal.h"
#include "dataset/dataset.h"
#include "dataset/prepare.h"

namespace muster::dataset {
namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNotFound = 3;

int Fail(const std::string& what, const absl::Status& status) {
  fmt::print(stderr, "muster-data: {}: {}\n", what, std::string(status.message()));
  if (absl::IsInvalidArgument(status)) return kExitUsage;
  return absl::IsNotFound(status) ? kExitNotFound : kExitError;
}

void PrintInfo(const std::string& folder, const DatasetInfo& info, bool json) {
  if (json) {
    fmt::print("{}\n", DatasetInfoText(info));
    return;
  }
  fmt::print("Dataset:      {}\n", folder);
  fmt::print("Digest:       {}\n", info.digest);
  fmt::print("Tokenizer:    {}, {} tokens\n", info.tokenizer, info.vocab_size);
  fmt::print("Source:       {}: {} files, {}\n", Printable(info.source.path), info.source.files,
             BytesText(info.source.bytes));
  const auto split = [](const char* name, const SplitInfo& s) {
    const double ratio =
        s.tokens == 0 ? 0.0 : static_cast<double>(s.bytes) / static_cast<double>(s.tokens);
    fmt::print("{:<14}{} tokens from {} documents, {} ({:.2f} bytes a token), {} shard{}\n", name,
               s.tokens, s.documents, BytesText(s.bytes), ratio, s.shards.size(),
               s.shards.size() == 1 ? "" : "s");
  };
  split("Training:", info.train);
  split("Held out:", info.held_out);
}

int Prepare(const PrepareOptions& options, bool json) {
  LiveLine line(stderr);
  const absl::Time start = absl::Now();
  const auto report = dataset::Prepare(options, [&](const PrepareProgress& progress) {
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    const double speed = static_cast<double>(progress.bytes_done) / std::max(seconds, 1e-3);
    line.Show(fmt::format("{:<16} {}  {}/s", PreparePhaseText(progress.phase),
                          BarText(progress.bytes_done, progress.bytes_total),
                          BytesText(static_cast<uint64_t>(speed))));
    return true;
  });
  line.Clear();
  if (!report.ok()) return Fail("prepare " + options.source, report.status());
  if (!json && report->up_to_date) fmt::print("up to date: nothing to do\n");
  if (!json && !report->up_to_date) {
    fmt::print(
        "prepared in {}{}\n", DurationText(absl::Now() - start),
        report->resumed_shards == 0
            ? ""
            : fmt::format(", {} shards taken over from an earlier run", report->resumed_shards));
  }
  PrintInfo(options.out, report->info, json);
  return 0;
}

int Show(const std::string& folder, bool verify, bool json) {
  const auto info = ReadDatasetInfo(folder);
  if (!info.ok()) return Fail("show " + folder, info.status());
  PrintInfo(folder, *info, json);
  if (!verify) return 0;
  const auto data = Dataset::Open(folder);
  if (!data.ok()) return Fail("verify " + folder, data.status());
  LiveLine line(stderr);
  const absl::Status status = (*data)->VerifyDigests(
      [&](uint64_t done, uint64_t total) { line.Show(BarText(done, total)); });
  line.Clear();
  if (!status.ok()) return Fail("verify " + folder, status);
  if (!json) fmt::print("verified: every byte is as it was prepared\n");
  return 0;
}

int Main(int argc, char** argv) {
  PrepareOptions prepare;
  std::vector<std::string> globs;
  std::string folder;
  bool verify = false;
  bool json = false;
  CLI::App app{"Training data for Muster: text to token shards. Started by `muster data`.",
               "muster-data"};
  app.add_flag("--json", json, "print dataset.json instead of text");
  app.require_subcommand(1);
  app.fallthrough();
  CLI::App* prepare_command = app.add_subcommand("prepare", "turn a folder of text into shards");
  prepare_command->footer(
      "Example: muster-data prepare books/ --out data/books --tokenizer bpe --vocab 8192\n"
      "Run again, it goes on where it was stopped, and does nothing when nothing changed.");
  prepare_command->add_option("SRC", prepare.source, "folder of text, or one file")->required();
  prepare_command->add_option("--out", prepare.out, "folder to write")->required();
  prepare_command->add_option("--tokenizer", prepare.tokenizer, "byte or bpe")
      ->check(CLI::IsMember({"byte", "bpe"}));
  prepare_command->add_option("--vocab", prepare.vocab_size, "tokens of a bpe tokenizer");
  prepare_command->add_option("--glob", globs, "file names to take; may be given again");
  prepare_command->add_option("--held-out", prepare.held_out,
                              "share of documents kept for evaluation");
  CLI::App* show_command = app.add_subcommand("show", "what a prepared folder holds");
  show_command->footer("Example: muster-data show data/books --verify");
  show_command->add_option("DIR", folder, "folder made by prepare")->required();
  show_command->add_flag("--verify", verify, "read every byte and compare");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "muster-data: {}; see --help\n", error.what());
    return kExitUsage;
  }
  if (!globs.empty()) prepare.globs = globs;
  return prepare_command->parsed() ? Prepare(prepare, json) : Show(folder, verify, json);
}

}  // namespace
}  // namespace muster::dataset

int main(int argc, char** argv) { return muster::dataset::Main(argc, argv); }
