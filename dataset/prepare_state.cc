#include "dataset/prepare_state.h"

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "dataset/digest.h"
#include "dataset/file.h"

namespace muster::dataset {
namespace {

// The state travels as a DatasetInfo, which has a checked text form.
DatasetInfo ToInfo(const PrepareState& state) {
  DatasetInfo info;
  info.options_digest = state.options_digest;
  info.tokenizer_sha256 = state.tokenizer_sha256;
  info.source = state.skipped;
  info.source.fingerprint = state.fingerprint;
  info.train = state.train.info;
  info.held_out = state.held_out.info;
  return info;
}

bool FilesAreThere(const std::string& folder, const DatasetInfo& info) {
  auto same = [&](const std::string& name, const std::string& sha256) {
    const absl::StatusOr<std::string> text = ReadWholeFile(folder + "/" + name);
    return text.ok() && Sha256Hex(*text) == sha256;
  };
  if (!info.tokenizer_sha256.empty() && !same("tokenizer.model", info.tokenizer_sha256)) {
    return false;
  }
  for (const SplitInfo* split : {&info.train, &info.held_out}) {
    for (const ShardInfo& shard : split->shards) {
      if (!same(shard.name, shard.sha256)) return false;
    }
  }
  return true;
}

}  // namespace

absl::Status WritePrepareState(const std::string& folder, const PrepareState& state) {
  const nlohmann::json json = {{"next_train", state.train.next_document},
                               {"next_held_out", state.held_out.next_document},
                               {"so_far", DatasetInfoText(ToInfo(state))}};
  return WriteFileDurably(folder, "prepare.state.json", json.dump() + "\n");
}

PrepareState ReadPrepareState(const std::string& folder, const std::string& options_digest,
                              const std::string& fingerprint) {
  PrepareState fresh;
  fresh.options_digest = options_digest;
  fresh.fingerprint = fingerprint;
  const absl::StatusOr<std::string> text = ReadWholeFile(folder + "/prepare.state.json");
  if (!text.ok()) return fresh;
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fresh;
  PrepareState state = fresh;
  DatasetInfo info;
  try {
    state.train.next_document = json.at("next_train").get<uint64_t>();
    state.held_out.next_document = json.at("next_held_out").get<uint64_t>();
    absl::StatusOr<DatasetInfo> parsed =
        ParseDatasetInfo(json.at("so_far").get_ref<const std::string&>());
    if (!parsed.ok()) return fresh;
    info = *std::move(parsed);
  } catch (const nlohmann::json::exception&) {
    return fresh;
  }
  if (info.options_digest != options_digest || info.source.fingerprint != fingerprint) return fresh;
  if (!FilesAreThere(folder, info)) return fresh;
  state.tokenizer_sha256 = info.tokenizer_sha256;
  state.skipped = info.source;
  state.train.info = info.train;
  state.held_out.info = info.held_out;
  return state;
}

}  // namespace muster::dataset
