// A prepared dataset, memory-mapped.
//
// The order of samples is a function of (seed, global sample number) alone: it does not depend on
// the mesh, and a resumed run goes on exactly where it was. Sample n belongs to epoch n /
// TrainWindows(); each epoch visits every window once, in its own pseudo-random order.
//
// Time:    none. Threads: const functions may be called from several at once.
// Owns:    the mappings; pages are shared by all ranks of a node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataset/dataset_info.h"
#include "dataset/token_shard.h"
#include "dataset/tokenizer.h"

namespace muster::dataset {

class Dataset {
 public:
  // Checks dataset.json, each shard's header and size, and the tokenizer.
  // Errors: kNotFound, kDataLoss: one line that names the file and what to do.
  static absl::StatusOr<std::unique_ptr<Dataset>> Open(const std::string& folder);

  const DatasetInfo& info() const { return info_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

  // Reads everything and compares with the digests. Progress: (bytes done, bytes in all).
  absl::Status VerifyDigests(
      const std::function<void(uint64_t, uint64_t)>& progress = nullptr) const;

  // Windows of context + 1 tokens in the training split; neighbours share one token. 0 if too
  // short.
  uint64_t TrainWindows(uint64_t context) const;

  // Fills `tokens`, whose size is context + 1: inputs are the first `context`, targets the last.
  // CHECKs TrainWindows(context) > 0.
  void Sample(uint64_t sample, uint64_t seed, std::span<int32_t> tokens) const;

  // Held-out windows, in order; the last tokens that fill no window are left out.
  uint64_t HeldOutWindows(uint64_t context) const;

  // Fills `tokens` (context + 1) with window `index` and returns the bytes of text that its targets
  // stand for. Bits per byte = sum of nats over targets / (ln 2 · sum of these).
  uint64_t HeldOut(uint64_t index, std::span<int32_t> tokens) const;

 private:
  struct Split {
    std::vector<TokenShard> shards;
    std::vector<uint64_t> begins;  // index of each shard's first token
    uint64_t tokens = 0;
  };
  Dataset() = default;
  static void Copy(const Split& split, uint64_t begin, std::span<int32_t> tokens);

  std::string folder_;
  DatasetInfo info_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<uint16_t> bytes_of_token_;
  Split train_;
  Split held_out_;
};

}  // namespace muster::dataset
