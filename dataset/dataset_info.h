// dataset.json: what a prepared folder holds. Written last, so its presence is the commit point.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::dataset {

inline constexpr std::string_view kFormat = "tokens/1";

struct ShardInfo {
  std::string name;  // "train-00000.tokens"
  uint64_t tokens = 0;
  uint64_t bytes = 0;  // of the text it encodes
  std::string sha256;  // of the file

  bool operator==(const ShardInfo&) const = default;
};

struct SplitInfo {
  uint64_t documents = 0;
  uint64_t tokens = 0;
  uint64_t bytes = 0;  // of the text: what bits per byte divide by
  std::vector<ShardInfo> shards;

  bool operator==(const SplitInfo&) const = default;
};

struct SourceInfo {
  std::string path;
  std::vector<std::string> globs;
  uint64_t files = 0;  // read
  uint64_t bytes = 0;
  uint64_t skipped_binary = 0;
  uint64_t skipped_not_utf8 = 0;
  uint64_t skipped_empty = 0;
  uint64_t skipped_unreadable = 0;
  std::string fingerprint;  // of paths, sizes and times; tells whether to prepare again

  bool operator==(const SourceInfo&) const = default;
};

struct DatasetInfo {
  std::string digest;            // identifies tokens and tokenizer; the same for the same text
  std::string tokenizer;         // "byte" or "bpe"
  std::string tokenizer_sha256;  // of tokenizer.model; empty for byte
  uint32_t vocab_size = 0;
  uint32_t padded_vocab_size = 0;  // next multiple of 64: what a model should use
  uint32_t end_of_document = 0;
  SplitInfo train;
  SplitInfo held_out;
  double held_out_fraction = 0;
  std::string options_digest;
  SourceInfo source;

  bool operator==(const DatasetInfo&) const = default;
};

// What a checkpoint should note about the tokenizer: "byte" or "bpe:<sha256>".
std::string TokenizerReference(const DatasetInfo& info);

std::string DatasetInfoText(const DatasetInfo& info);
absl::StatusOr<DatasetInfo> ParseDatasetInfo(std::string_view text);  // kDataLoss

// Errors: kNotFound if the folder or dataset.json is missing (says to run muster data prepare).
absl::StatusOr<DatasetInfo> ReadDatasetInfo(const std::string& folder);

}  // namespace muster::dataset
