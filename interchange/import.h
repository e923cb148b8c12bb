// Makes a checkpoint out of a Hugging Face folder with a Llama model, for `checkpoint.init_from`.
//
// Step 0 of attempt 0 (which no job ever is), weights in fp32, no moments: a job that begins with
// it begins with fresh ones. Read and written in batches: memory stays at about two.
//
// Threads: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/batches.h"
#include "checkpoint/file_system.h"
#include "interchange/export.h"
#include "interchange/llama_config.h"

namespace muster::interchange {

struct ImportOptions {
  std::optional<uint64_t> context;  // the job's; default: the model's own limit
  uint64_t batch_bytes = checkpoint::kBatchBytes;
};

struct ImportReport {
  std::string path;  // of the checkpoint
  LlamaConfig config;
  std::string tokenizer;  // "" = not one of ours
  uint64_t tensors = 0;
  uint64_t parameters = 0;
};

// Errors: kInvalidArgument names the file and the tensor or field that is wrong: missing, of
// another shape, unknown; kAlreadyExists: `root` has an imported checkpoint.
absl::StatusOr<ImportReport> ImportLlama(const std::string& folder, const std::string& root,
                                         const ImportOptions& options,
                                         const ExchangeProgress& progress = nullptr,
                                         checkpoint::FileSystem& files = checkpoint::PosixFiles());

}  // namespace muster::interchange
