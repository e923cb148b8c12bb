#include "dataset/dataset_info.h"

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "dataset/digest.h"
#include "dataset/file.h"

namespace muster::dataset {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ShardInfo, name, tokens, bytes, sha256)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SplitInfo, documents, tokens, bytes, shards)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SourceInfo, path, globs, files, bytes, skipped_binary,
                                   skipped_not_utf8, skipped_empty, skipped_unreadable, fingerprint)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DatasetInfo, digest, tokenizer, tokenizer_sha256, vocab_size,
                                   padded_vocab_size, end_of_document, train, held_out,
                                   held_out_fraction, options_digest, source)

namespace {

// A shard's name must not lead out of the folder.
bool IsPlainName(const std::string& name) {
  return name.ends_with(".tokens") && name.find('/') == std::string::npos && name.front() != '.';
}

absl::Status CheckSplit(const char* split, const SplitInfo& info) {
  uint64_t tokens = 0, bytes = 0;
  for (const ShardInfo& shard : info.shards) {
    if (!IsPlainName(shard.name)) return DataLoss("dataset.json: {}: bad shard name", split);
    if (shard.tokens > (1ull << 48)) return DataLoss("dataset.json: {}: too many tokens", split);
    tokens += shard.tokens;
    bytes += shard.bytes;
  }
  if (tokens != info.tokens || bytes != info.bytes) {
    return DataLoss("dataset.json: {}: its shards do not add up to its totals", split);
  }
  return absl::OkStatus();
}

// A path may hold bytes that are not UTF-8.
std::string Text(const nlohmann::ordered_json& json) {
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string Seal(nlohmann::ordered_json json) {
  json.erase("seal");
  return Sha256Hex(Text(json));
}

}  // namespace

std::string TokenizerReference(const DatasetInfo& info) {
  return info.tokenizer_sha256.empty() ? info.tokenizer
                                       : info.tokenizer + ":" + info.tokenizer_sha256;
}

std::string DatasetInfoText(const DatasetInfo& info) {
  nlohmann::ordered_json json;
  json["format"] = kFormat;
  const nlohmann::json fields = info;
  for (const auto& [key, value] : fields.items()) json[key] = value;
  json["seal"] = Seal(json);
  return Text(json) + "\n";
}

absl::StatusOr<DatasetInfo> ParseDatasetInfo(std::string_view text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("format") || !json.contains("seal")) {
    return DataLoss("dataset.json: not what `muster data prepare` writes");
  }
  if (json["format"] != kFormat) {
    return DataLoss("dataset.json: format {}, this program reads \"{}\"", json["format"].dump(),
                    kFormat);
  }
  if (json["seal"] != Seal(json)) {
    return DataLoss("dataset.json: damaged or edited (its seal does not match)");
  }
  DatasetInfo info;
  try {
    info = nlohmann::json(json).get<DatasetInfo>();
  } catch (const nlohmann::json::exception& error) {
    return DataLoss("dataset.json: {}", error.what());
  }
  MUSTER_RETURN_IF_ERROR(CheckSplit("train", info.train));
  MUSTER_RETURN_IF_ERROR(CheckSplit("held_out", info.held_out));
  return info;
}

absl::StatusOr<DatasetInfo> ReadDatasetInfo(const std::string& folder) {
  absl::StatusOr<std::string> text = ReadWholeFile(folder + "/dataset.json");
  if (absl::IsNotFound(text.status())) {
    return NotFound("no dataset in {}: run `muster data prepare SOURCE --out {}`", folder, folder);
  }
  if (!text.ok()) return text.status();
  absl::StatusOr<DatasetInfo> info = ParseDatasetInfo(*text);
  if (!info.ok()) {
    return DataLoss("{}: {}; run `muster data prepare` again", folder,
                    std::string(info.status().message()));
  }
  return info;
}

}  // namespace muster::dataset
