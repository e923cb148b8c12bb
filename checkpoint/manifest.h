// The manifest: what a checkpoint holds and where, and the state of the run.
//
// One manifest has one text: tensors by name, pieces by offset, files by name, fixed key order; its
// SHA-256 identifies the checkpoint. The parser takes only that text, so nothing can hide in it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/shard.h"

namespace muster::checkpoint {

inline constexpr std::string_view kFormat = "ckpt/1";
inline constexpr uint64_t kManifestBytesMax = 1ull << 30;

// What a run needs besides tensors to go on as if nothing had happened.
struct RunState {
  uint64_t next_sample = 0;   // global number of the first sample not trained on
  uint64_t tokens = 0;        // trained on so far
  uint64_t seed = 0;          // random numbers are counter-based: (seed, step, sample, layer)
  std::string layout;         // the writer's mesh, "data=2,tensor=2"; for people
  std::string config_digest;  // SHA-256 of the job document
  std::string dataset_path;
  std::string dataset_digest;
  std::string tokenizer;          // "byte", or "bpe:<sha256 of tokenizer.model>"
  std::string model_json = "{}";  // the model's shape, a JSON object
  std::string extra_json = "{}";  // anything else, a JSON object

  bool operator==(const RunState&) const = default;
};

// As the manifest's "run" has it. Errors: kDataLoss.
std::string RunStateText(const RunState& run);
absl::StatusOr<RunState> ParseRunState(std::string_view text);

struct Tensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;
  std::vector<Piece> pieces;  // tile it exactly once

  bool operator==(const Tensor&) const = default;
};

struct Manifest {
  uint64_t step = 0;
  uint64_t attempt = 0;
  std::string job_uid;
  RunState run;
  std::vector<Tensor> tensors;    // by name
  std::vector<FileRecord> files;  // by name
  std::string sha256;             // of its text; set by BuildManifest and ParseManifest

  bool operator==(const Manifest&) const = default;
};

// Joins the digests of all writers.
// Errors: kInvalidArgument: a file twice, a tensor with a gap or an element written twice (names
// the tensor and the writers), a bad model_json or extra_json.
absl::StatusOr<Manifest> BuildManifest(uint64_t step, uint64_t attempt, const std::string& job_uid,
                                       const RunState& run, std::span<const ShardDigest> digests);

std::string ManifestText(const Manifest& manifest);

// Takes hostile input: sizes, overflows, depth, unknown or missing keys, file names that are not
// plain `data/<name>.safetensors`, tensors that are not tiled, text that is not the canonical one.
// Errors: kDataLoss.
absl::StatusOr<Manifest> ParseManifest(std::string_view text);

// nullptr if there is none of that name.
const Tensor* FindTensor(const Manifest& manifest, std::string_view name);
uint64_t TotalBytes(const Manifest& manifest);  // of all files

}  // namespace muster::checkpoint
