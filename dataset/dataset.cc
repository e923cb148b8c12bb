#include "dataset/dataset.h"

#include <algorithm>

#include "common/check.h"
#include "common/status.h"
#include "dataset/digest.h"
#include "dataset/file.h"
#include "dataset/permutation.h"

namespace muster::dataset {
namespace {

uint64_t Windows(uint64_t tokens, uint64_t context) {
  CHECK(context > 0, "a window of no tokens");
  return tokens == 0 ? 0 : (tokens - 1) / context;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& folder,
                                                         const DatasetInfo& info) {
  if (info.tokenizer == "byte") return MakeByteTokenizer();
  if (info.tokenizer != "bpe") {
    return DataLoss("{}: tokenizer \"{}\" is unknown to this program", folder, info.tokenizer);
  }
  absl::StatusOr<std::string> model = ReadWholeFile(folder + "/tokenizer.model");
  if (!model.ok()) {
    return Annotate(model.status(), "dataset is incomplete, run `muster data prepare` again");
  }
  if (Sha256Hex(*model) != info.tokenizer_sha256) {
    return DataLoss("{}/tokenizer.model is damaged or changed; run `muster data prepare` again",
                    folder);
  }
  return MakeBpeTokenizer(*model);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> Dataset::Open(const std::string& folder) {
  std::unique_ptr<Dataset> dataset(new Dataset());
  dataset->folder_ = folder;
  MUSTER_ASSIGN_OR_RETURN(dataset->info_, ReadDatasetInfo(folder));
  const DatasetInfo& info = dataset->info_;
  MUSTER_ASSIGN_OR_RETURN(dataset->tokenizer_, OpenTokenizer(folder, info));
  if (dataset->tokenizer_->vocab_size() != info.vocab_size) {
    return DataLoss("{}: the tokenizer has {} tokens, dataset.json says {}", folder,
                    dataset->tokenizer_->vocab_size(), info.vocab_size);
  }
  for (uint32_t token = 0; token < info.vocab_size; ++token) {
    dataset->bytes_of_token_.push_back(
        static_cast<uint16_t>(dataset->tokenizer_->BytesOf(token).size()));
  }
  for (auto [split, described] :
       {std::pair(&dataset->train_, &info.train), std::pair(&dataset->held_out_, &info.held_out)}) {
    for (const ShardInfo& shard : described->shards) {
      MUSTER_ASSIGN_OR_RETURN(TokenShard mapped,
                              TokenShard::Open(folder + "/" + shard.name, shard.tokens));
      split->shards.push_back(std::move(mapped));
      split->begins.push_back(split->tokens);
      split->tokens += shard.tokens;
    }
  }
  return dataset;
}

absl::Status Dataset::VerifyDigests(const std::function<void(uint64_t, uint64_t)>& progress) const {
  uint64_t total = 0, done = 0;
  for (const Split* split : {&train_, &held_out_}) {
    for (const TokenShard& shard : split->shards) total += shard.file_bytes().size();
  }
  for (auto [split, described] :
       {std::pair(&train_, &info_.train), std::pair(&held_out_, &info_.held_out)}) {
    for (size_t i = 0; i < split->shards.size(); ++i) {
      const TokenShard& shard = split->shards[i];
      if (Sha256Hex(shard.file_bytes()) != described->shards[i].sha256) {
        return DataLoss(
            "{}: damaged or changed (SHA-256 differs from dataset.json); run `muster "
            "data prepare` again",
            shard.path());
      }
      done += shard.file_bytes().size();
      if (progress) progress(done, total);
    }
  }
  return absl::OkStatus();
}

void Dataset::Copy(const Split& split, uint64_t begin, std::span<int32_t> tokens) {
  auto next = std::upper_bound(split.begins.begin(), split.begins.end(), begin);
  size_t shard = static_cast<size_t>(next - split.begins.begin()) - 1;
  uint64_t at = begin - split.begins[shard];
  while (!tokens.empty()) {
    const auto rest = split.shards[shard].tokens().subspan(at);
    const size_t part = std::min(rest.size(), tokens.size());
    std::copy_n(rest.begin(), part, tokens.begin());
    tokens = tokens.subspan(part);
    ++shard;
    at = 0;
  }
}

uint64_t Dataset::TrainWindows(uint64_t context) const { return Windows(train_.tokens, context); }

void Dataset::Sample(uint64_t sample, uint64_t seed, std::span<int32_t> tokens) const {
  CHECK(tokens.size() >= 2, "a window of {} tokens", tokens.size());
  const uint64_t context = tokens.size() - 1;
  const uint64_t windows = TrainWindows(context);
  CHECK(windows > 0, "{}: no window of {} tokens in {}", folder_, tokens.size(), train_.tokens);
  const Permutation order(windows, Mix(seed, sample / windows));
  Copy(train_, order(sample % windows) * context, tokens);
}

uint64_t Dataset::HeldOutWindows(uint64_t context) const {
  return Windows(held_out_.tokens, context);
}

uint64_t Dataset::HeldOut(uint64_t index, std::span<int32_t> tokens) const {
  CHECK(tokens.size() >= 2, "a window of {} tokens", tokens.size());
  const uint64_t context = tokens.size() - 1;
  CHECK(index < HeldOutWindows(context), "held-out window {} of {}", index,
        HeldOutWindows(context));
  Copy(held_out_, index * context, tokens);
  uint64_t bytes = 0;
  for (int32_t token : tokens.subspan(1)) {
    const auto id = static_cast<size_t>(token);
    bytes += id < bytes_of_token_.size() ? bytes_of_token_[id] : 0;
  }
  return bytes;
}

}  // namespace muster::dataset
