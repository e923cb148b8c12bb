// What a killed Prepare left behind: the shards that are finished.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataset/dataset_info.h"

namespace muster::dataset {

// One split, as far as it is done.
struct SplitProgress {
  uint64_t next_document = 0;  // index in the split's list of documents
  SplitInfo info;
};

struct PrepareState {
  std::string options_digest;
  std::string fingerprint;       // of the source
  std::string tokenizer_sha256;  // empty: not trained yet
  SourceInfo skipped;            // its counters only
  SplitProgress train;
  SplitProgress held_out;
};

// OUT/prepare.state.json; written after each shard.
absl::Status WritePrepareState(const std::string& folder, const PrepareState& state);

// The state to go on from: the one on disk if it is whole, of the same options and the same source,
// and its files are there unchanged (by SHA-256); else an empty one with these two set.
PrepareState ReadPrepareState(const std::string& folder, const std::string& options_digest,
                              const std::string& fingerprint);

}  // namespace muster::dataset
