#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/progress_line.h"
#include "cli/proto_json.h"
#include "cli/table.h"
#include "common/duration.h"
#include "common/status.h"
#include "dataset/dataset.h"
#include "dataset/prepare.h"
#include "spec/yaml_text.h"

namespace muster::cli {
namespace {

struct DataPrepareOptions {
  dataset::PrepareOptions prepare;
  uint64_t vocab = 4096;
  std::vector<std::string> globs;
};

// A full disk is no lack of room for a job.
absl::Status Local(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kResourceExhausted) return status;
  return absl::InternalError(status.message());
}

void PrintInfo(const Session& session, const std::string& folder,
               const dataset::DatasetInfo& info) {
  if (session.machine_readable()) {
    const auto json = nlohmann::ordered_json::parse(dataset::DatasetInfoText(info));
    fmt::print("{}", session.format() == OutputFormat::kYaml ? spec::YamlText(json)
                                                             : JsonText(json, 2) + "\n");
    return;
  }
  fmt::print("Dataset:      {}\n", folder);
  fmt::print("Digest:       {}\n", info.digest);
  fmt::print("Tokenizer:    {}, {} tokens\n", info.tokenizer, info.vocab_size);
  fmt::print("Source:       {}: {} files, {}\n", Printable(info.source.path), info.source.files,
             BytesText(info.source.bytes));
  const auto split = [](const char* name, const dataset::SplitInfo& s) {
    const double ratio =
        s.tokens == 0 ? 0.0 : static_cast<double>(s.bytes) / static_cast<double>(s.tokens);
    fmt::print("{:<14}{} tokens from {} documents, {} ({:.2f} bytes a token), {} shard{}\n", name,
               s.tokens, s.documents, BytesText(s.bytes), ratio, s.shards.size(),
               s.shards.size() == 1 ? "" : "s");
  };
  split("Training:", info.train);
  split("Held out:", info.held_out);
}

absl::StatusOr<int> Prepare(const Session& session, const DataPrepareOptions& options) {
  dataset::PrepareOptions prepare = options.prepare;
  prepare.vocab_size = static_cast<uint32_t>(std::min<uint64_t>(options.vocab, UINT32_MAX));
  if (!options.globs.empty()) prepare.globs = options.globs;
  LiveLine line(stderr);
  const absl::Time start = absl::Now();
  const auto report = dataset::Prepare(prepare, [&](const dataset::PrepareProgress& progress) {
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    const double speed = static_cast<double>(progress.bytes_done) / std::max(seconds, 1e-3);
    line.Show(fmt::format("{:<16} {}  {}/s", dataset::PreparePhaseText(progress.phase),
                          BarText(progress.bytes_done, progress.bytes_total),
                          BytesText(static_cast<uint64_t>(speed))));
    return true;
  });
  line.Clear();
  if (!report.ok()) return During("prepare " + prepare.source, Local(report.status()));
  if (!session.machine_readable()) {
    if (report->up_to_date) {
      fmt::print("up to date: nothing to do\n");
    } else {
      fmt::print(
          "prepared in {}{}\n", DurationText(absl::Now() - start),
          report->resumed_shards == 0
              ? ""
              : fmt::format(", {} shards taken over from an earlier run", report->resumed_shards));
    }
  }
  PrintInfo(session, prepare.out, report->info);
  return kExitOk;
}

absl::StatusOr<int> Show(const Session& session, const std::string& folder, bool verify) {
  const auto info = dataset::ReadDatasetInfo(folder);
  if (!info.ok()) return During("show " + folder, Local(info.status()));
  PrintInfo(session, folder, *info);
  if (!verify) return kExitOk;
  const auto data = dataset::Dataset::Open(folder);
  if (!data.ok()) return During("verify " + folder, data.status());
  LiveLine line(stderr);
  const absl::Status status = (*data)->VerifyDigests(
      [&](uint64_t done, uint64_t total) { line.Show(BarText(done, total)); });
  line.Clear();
  if (!status.ok()) return During("verify " + folder, status);
  if (!session.machine_readable()) fmt::print("verified: every byte is as it was prepared\n");
  return kExitOk;
}

}  // namespace

Command DataCommand(Session* session) {
  auto options = std::make_shared<DataPrepareOptions>();
  Command prepare;
  prepare.name = "prepare";
  prepare.summary = "Turn a folder of text into token shards";
  prepare.examples = R"(  muster data prepare /usr/lib/python3.11 --out data/stdlib --tokenizer byte
  muster data prepare books/ --out data/books --tokenizer bpe --vocab 8192 --glob '*.txt'
Run again, it goes on where it was stopped, and does nothing when nothing changed.)";
  prepare.options = {
      {"SRC", &options->prepare.source, "folder of text, or one file", true, {}},
      {"--out", &options->prepare.out, "folder to write", true, {}},
      {"--tokenizer", &options->prepare.tokenizer, "byte (default) or bpe", false, {"byte", "bpe"}},
      {"--vocab", &options->vocab, "tokens of a bpe tokenizer (4096)", false, {}},
      {"--glob", &options->globs, "file names to take; may be given again", false, {}},
      {"--held-out",
       &options->prepare.held_out,
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
