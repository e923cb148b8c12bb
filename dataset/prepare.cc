#include "dataset/prepare.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "common/status.h"
#include "dataset/digest.h"
#include "dataset/file.h"
#include "dataset/prepare_state.h"
#include "dataset/source_walk.h"
#include "dataset/token_shard.h"
#include "dataset/tokenizer.h"

namespace muster::dataset {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTokenizerSampleBytes = 4 << 20;
constexpr uint32_t kPadTo = 64;

absl::Status CheckOptions(const PrepareOptions& options) {
  if (options.source.empty() || options.out.empty()) {
    return InvalidArgument("prepare: a source and an output folder are needed");
  }
  if (options.tokenizer != "byte" && options.tokenizer != "bpe") {
    return InvalidArgument("prepare: tokenizer \"{}\": use byte or bpe", options.tokenizer);
  }
  if (options.tokenizer == "bpe" && (options.vocab_size < 320 || options.vocab_size > 65536)) {
    return InvalidArgument("prepare: vocab_size {}: use 320 to 65536", options.vocab_size);
  }
  if (!(options.held_out >= 0 && options.held_out <= 0.5)) {
    return InvalidArgument("prepare: held_out {}: use 0 to 0.5", options.held_out);
  }
  if (options.shard_tokens < 1024 || options.shard_tokens > (1ull << 32)) {
    return InvalidArgument("prepare: shard_tokens {}: use 1024 to 2^32", options.shard_tokens);
  }
  return absl::OkStatus();
}

std::string OptionsDigest(const PrepareOptions& options) {
  return Sha256Hex(fmt::format(
      "{}\n{}\n{}\n{}\n{}\n{}", kFormat, fmt::join(options.globs, "\n"), options.tokenizer,
      options.tokenizer == "bpe" ? options.vocab_size : 0, options.held_out, options.shard_tokens));
}

// A number in [0, 1) from a name; the same everywhere.
double NameFraction(const std::string& name) {
  const uint64_t bits = std::stoull(Sha256Hex(name).substr(0, 13), nullptr, 16);
  return static_cast<double>(bits) / static_cast<double>(1ull << 52);
}

struct Splits {
  std::vector<Document> train;
  std::vector<Document> held_out;
};

Splits SplitDocuments(const std::vector<Document>& documents, double held_out) {
  Splits splits;
  // However few documents there are, one is held out if that was asked for.
  double bound = held_out;
  if (held_out > 0 && documents.size() > 1) {
    double lowest = 1;
    for (const Document& d : documents) lowest = std::min(lowest, NameFraction(d.name));
    bound = std::max(bound, std::nextafter(lowest, 1.0));
  }
  for (const Document& document : documents) {
    (NameFraction(document.name) < bound ? splits.held_out : splits.train).push_back(document);
  }
  return splits;
}

class Preparation {
 public:
  Preparation(const PrepareOptions& options,
              const std::function<bool(const PrepareProgress&)>& progress)
      : options_(options), progress_(progress) {}

  absl::StatusOr<PrepareReport> Run() {
    MUSTER_RETURN_IF_ERROR(CheckOptions(options_));
    MUSTER_RETURN_IF_ERROR(Tell(PreparePhase::kScan));
    MUSTER_ASSIGN_OR_RETURN(const Source source, WalkSource(options_.source, options_.globs));
    told_.files_total = source.documents.size();
    told_.bytes_total = source.bytes;
    const std::string options_digest = OptionsDigest(options_);
    MUSTER_ASSIGN_OR_RETURN(const bool finished, IsFinished(options_digest, source.fingerprint));
    if (finished) return std::move(report_);

    state_ = ReadPrepareState(options_.out, options_digest, source.fingerprint);
    report_.resumed_shards = state_.train.info.shards.size() + state_.held_out.info.shards.size();
    // From here on the folder is unfinished, whatever it held.
    std::error_code error;
    fs::remove(options_.out + "/dataset.json", error);
    MUSTER_RETURN_IF_ERROR(WritePrepareState(options_.out, state_));

    const Splits splits = SplitDocuments(source.documents, options_.held_out);
    MUSTER_RETURN_IF_ERROR(MakeTokenizer(splits.train));
    MUSTER_RETURN_IF_ERROR(WriteSplit("train", splits.train, state_.train));
    MUSTER_RETURN_IF_ERROR(WriteSplit("held-out", splits.held_out, state_.held_out));
    return Finish(source);
  }

 private:
  absl::Status Tell(PreparePhase phase) {
    told_.phase = phase;
    if (progress_ && !progress_(told_)) {
      return Error(absl::StatusCode::kCancelled,
                   "prepare {}: stopped; run it again to go on from here", options_.out);
    }
    return absl::OkStatus();
  }

  // Also makes the folder, and refuses one that is somebody else's.
  absl::StatusOr<bool> IsFinished(const std::string& options_digest,
                                  const std::string& fingerprint) {
    std::error_code error;
    fs::create_directories(options_.out, error);
    if (error) return ErrnoError(error.value(), fmt::format("make folder {}", options_.out));
    const bool ours = fs::exists(options_.out + "/dataset.json", error) ||
                      fs::exists(options_.out + "/prepare.state.json", error);
    if (!ours && !fs::is_empty(options_.out, error)) {
      for (const auto& entry : fs::directory_iterator(options_.out, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(".tmp-")) {
          return FailedPrecondition(
              "prepare: {} holds {} and is no dataset; choose an empty folder for --out",
              options_.out, name);
        }
      }
    }
    absl::StatusOr<DatasetInfo> info = ReadDatasetInfo(options_.out);
    if (!info.ok() || info->options_digest != options_digest ||
        info->source.fingerprint != fingerprint) {
      return false;
    }
    for (const SplitInfo* split : {&info->train, &info->held_out}) {
      for (const ShardInfo& shard : split->shards) {
        if (!TokenShard::Open(options_.out + "/" + shard.name, shard.tokens).ok()) return false;
      }
    }
    report_.up_to_date = true;
    report_.info = *std::move(info);
    return true;
  }

  // Counts what is skipped only if `count`: the tokenizer's sample reads documents a second time.
  absl::StatusOr<std::string> ReadText(const Document& document, bool count) {
    absl::StatusOr<std::string> text = ReadDocument(document);
    SourceInfo& counts = state_.skipped;
    if (absl::IsPermissionDenied(text.status()) || absl::IsNotFound(text.status())) {
      counts.skipped_unreadable += count;
      return std::string();
    }
    if (!text.ok()) return text.status();
    const TextKind kind = ClassifyText(*text);
    if (count) {
      counts.skipped_empty += kind == TextKind::kEmpty;
      counts.skipped_binary += kind == TextKind::kBinary;
      counts.skipped_not_utf8 += kind == TextKind::kNotUtf8;
      if (kind == TextKind::kText) {
        ++counts.files;
        counts.bytes += text->size();
      }
    }
    return kind == TextKind::kText ? std::move(*text) : std::string();
  }

  absl::Status MakeTokenizer(const std::vector<Document>& train) {
    if (options_.tokenizer == "byte") {
      tokenizer_ = MakeByteTokenizer();
      return absl::OkStatus();
    }
    std::string model;
    if (!state_.tokenizer_sha256.empty()) {
      MUSTER_ASSIGN_OR_RETURN(model, ReadWholeFile(options_.out + "/tokenizer.model"));
    } else {
      MUSTER_RETURN_IF_ERROR(Tell(PreparePhase::kTrainTokenizer));
      // Documents from all over the source: by hash of the name, as many as the sample holds.
      std::vector<std::pair<double, const Document*>> order;
      for (const Document& d : train) order.emplace_back(NameFraction(d.name), &d);
      std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return std::tie(a.first, a.second->name) < std::tie(b.first, b.second->name);
      });
      std::vector<std::string> texts;
      uint64_t bytes = 0;
      for (const auto& [fraction, document] : order) {
        if (bytes >= kTokenizerSampleBytes) break;
        MUSTER_ASSIGN_OR_RETURN(std::string text, ReadText(*document, /*count=*/false));
        text.resize(std::min<size_t>(text.size(), kTokenizerSampleBytes - bytes));
        while (!text.empty() && ClassifyText(text) == TextKind::kNotUtf8) text.pop_back();
        bytes += text.size();
        texts.push_back(std::move(text));
      }
      MUSTER_ASSIGN_OR_RETURN(model, TrainBpe(texts, options_.vocab_size));
      MUSTER_RETURN_IF_ERROR(WriteFileDurably(options_.out, "tokenizer.model", model));
      state_.tokenizer_sha256 = Sha256Hex(model);
      MUSTER_RETURN_IF_ERROR(WritePrepareState(options_.out, state_));
    }
    MUSTER_ASSIGN_OR_RETURN(tokenizer_, MakeBpeTokenizer(model));
    return absl::OkStatus();
  }

  absl::Status WriteSplit(const char* name, const std::vector<Document>& documents,
                          SplitProgress& split) {
    for (uint64_t i = 0; i < std::min<uint64_t>(split.next_document, documents.size()); ++i) {
      ++told_.files_done;
      told_.bytes_done += documents[i].bytes;
    }
    std::vector<Token> tokens;
    uint64_t bytes = 0;
    for (uint64_t i = split.next_document; i < documents.size(); ++i) {
      MUSTER_ASSIGN_OR_RETURN(const std::string text, ReadText(documents[i], /*count=*/true));
      if (!text.empty()) {
        const std::vector<Token> encoded = tokenizer_->Encode(text);
        tokens.insert(tokens.end(), encoded.begin(), encoded.end());
        tokens.push_back(tokenizer_->end_of_document());
        bytes += text.size();
        ++split.info.documents;
      }
      ++told_.files_done;
      told_.bytes_done += documents[i].bytes;
      MUSTER_RETURN_IF_ERROR(Tell(PreparePhase::kTokenize));
      const bool last = i + 1 == documents.size();
      if (tokens.empty() || (tokens.size() < options_.shard_tokens && !last)) continue;
      ShardInfo shard{.name = fmt::format("{}-{:05}.tokens", name, split.info.shards.size()),
                      .tokens = tokens.size(),
                      .bytes = bytes,
                      .sha256 = {}};
      MUSTER_ASSIGN_OR_RETURN(shard.sha256, WriteTokenShard(options_.out, shard.name, tokens));
      split.info.tokens += shard.tokens;
      split.info.bytes += shard.bytes;
      split.info.shards.push_back(std::move(shard));
      split.next_document = i + 1;
      MUSTER_RETURN_IF_ERROR(WritePrepareState(options_.out, state_));
      tokens.clear();
      bytes = 0;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<PrepareReport> Finish(const Source& source) {
    MUSTER_RETURN_IF_ERROR(Tell(PreparePhase::kFinish));
    MUSTER_ASSIGN_OR_RETURN(const Source again, WalkSource(options_.source, options_.globs));
    if (again.fingerprint != source.fingerprint) {
      return FailedPrecondition("prepare: {} changed while it was read; run it again",
                                options_.source);
    }
    DatasetInfo& info = report_.info;
    info.train = state_.train.info;
    info.held_out = state_.held_out.info;
    if (info.train.tokens == 0) {
      return NotFound("prepare: no text in {} ({} binary, {} not UTF-8, {} empty)", options_.source,
                      state_.skipped.skipped_binary, state_.skipped.skipped_not_utf8,
                      state_.skipped.skipped_empty);
    }
    info.tokenizer = tokenizer_->kind();
    info.tokenizer_sha256 = state_.tokenizer_sha256;
    info.vocab_size = tokenizer_->vocab_size();
    info.padded_vocab_size = (info.vocab_size + kPadTo - 1) / kPadTo * kPadTo;
    info.end_of_document = tokenizer_->end_of_document();
    info.held_out_fraction = options_.held_out;
    info.options_digest = state_.options_digest;
    info.source = state_.skipped;
    info.source.path = options_.source;
    info.source.globs = options_.globs;
    info.source.fingerprint = source.fingerprint;
    std::string identity = TokenizerReference(info);
    for (const SplitInfo* split : {&info.train, &info.held_out}) {
      identity += "\n-";
      for (const ShardInfo& shard : split->shards) identity += "\n" + shard.sha256;
    }
    info.digest = Sha256Hex(identity);
    RemoveStrays(info);
    MUSTER_RETURN_IF_ERROR(WriteFileDurably(options_.out, "dataset.json", DatasetInfoText(info)));
    std::error_code error;
    fs::remove(options_.out + "/prepare.state.json", error);
    return std::move(report_);
  }

  // Shards of an older, larger preparation.
  void RemoveStrays(const DatasetInfo& info) {
    std::vector<std::string> known;
    for (const SplitInfo* split : {&info.train, &info.held_out}) {
      for (const ShardInfo& shard : split->shards) known.push_back(shard.name);
    }
    std::error_code error;
    std::vector<fs::path> strays;
    for (const auto& entry : fs::directory_iterator(options_.out, error)) {
      const std::string name = entry.path().filename().string();
      const bool shard = name.ends_with(".tokens") &&
                         (name.starts_with("train-") || name.starts_with("held-out-"));
      const bool model = name == "tokenizer.model" && info.tokenizer_sha256.empty();
      if (model || name.starts_with(".tmp-") ||
          (shard && std::find(known.begin(), known.end(), name) == known.end())) {
        strays.push_back(entry.path());
      }
    }
    for (const fs::path& stray : strays) fs::remove(stray, error);
  }

  const PrepareOptions& options_;
  const std::function<bool(const PrepareProgress&)>& progress_;
  PrepareProgress told_;
  PrepareReport report_;
  PrepareState state_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace

std::vector<std::string> DefaultGlobs() {
  return {"*.py",   "*.pyi", "*.txt", "*.md",  "*.rst", "*.tex", "*.html", "*.c",
          "*.h",    "*.cc",  "*.cpp", "*.hpp", "*.cxx", "*.cu",  "*.rs",   "*.go",
          "*.java", "*.js",  "*.ts",  "*.sh",  "*.pl",  "*.rb",  "*.lua",  "*.sql"};
}

std::string PreparePhaseText(PreparePhase phase) {
  switch (phase) {
    case PreparePhase::kScan:
      return "scan";
    case PreparePhase::kTrainTokenizer:
      return "train tokenizer";
    case PreparePhase::kTokenize:
      return "tokenize";
    case PreparePhase::kFinish:
      return "finish";
  }
  return "unknown";
}

absl::StatusOr<PrepareReport> Prepare(const PrepareOptions& options,
                                      const std::function<bool(const PrepareProgress&)>& progress) {
  return Preparation(options, progress).Run();
}

}  // namespace muster::dataset
