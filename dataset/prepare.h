// `muster data prepare`: a folder of text becomes a folder of tokens.
//
// Deterministic: the same text and options give the same digest. Killed at any moment, it goes on
// from the shards it finished. A finished folder with the same options and an unchanged source is
// left alone.
//
//   OUT/train-00000.tokens ...   OUT/held-out-00000.tokens ...   OUT/tokenizer.model (bpe)
//   OUT/prepare.state.json       while unfinished
//   OUT/dataset.json             written last: the commit point
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataset/dataset_info.h"

namespace muster::dataset {

// The text files we take if nobody says otherwise.
std::vector<std::string> DefaultGlobs();

struct PrepareOptions {
  std::string source;  // a folder, or one file (cut into documents of about 64 KiB at line ends)
  std::vector<std::string> globs = DefaultGlobs();  // on file names; not used for one file
  std::string out;
  std::string tokenizer = "byte";  // or "bpe"
  uint32_t vocab_size = 4096;      // bpe: 320 to 65536
  double held_out = 0.02;          // share of documents, chosen by hash of their path; [0, 0.5]
  uint64_t shard_tokens = 16ull << 20;
};

enum class PreparePhase { kScan, kTrainTokenizer, kTokenize, kFinish };
std::string PreparePhaseText(PreparePhase phase);  // "scan", "train tokenizer", ...

struct PrepareProgress {
  PreparePhase phase = PreparePhase::kScan;
  uint64_t files_done = 0;
  uint64_t files_total = 0;
  uint64_t bytes_done = 0;  // bytes/s is the caller's to work out: nothing here reads a clock
  uint64_t bytes_total = 0;
};

struct PrepareReport {
  bool up_to_date = false;      // nothing was done
  uint64_t resumed_shards = 0;  // taken over from an earlier, killed run
  DatasetInfo info;
};

// Errors: kInvalidArgument: bad options. kNotFound: no source, or no file in it matches (names the
// globs). kResourceExhausted: disk full. kFailedPrecondition: OUT holds something that is not a
// dataset, or the source changed while it was read. kCancelled: `progress` returned false.
absl::StatusOr<PrepareReport> Prepare(
    const PrepareOptions& options,
    const std::function<bool(const PrepareProgress&)>& progress = nullptr);

}  // namespace muster::dataset
