// Writes a checkpoint's model as a folder that Hugging Face's tools load: model.safetensors (or
// several files with an index), config.json, and the tokenizer.
//
// The weights of a checkpoint are read in batches, each byte checked, and written on: memory stays
// at about a batch. The folder appears by one rename when all of it is durable.
//
// Threads: none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/batches.h"
#include "checkpoint/box.h"
#include "checkpoint/file_system.h"

namespace muster::interchange {

struct ExportOptions {
  checkpoint::DType dtype = checkpoint::DType::kF32;  // or kBF16, rounded to nearest even
  uint64_t file_bytes_max = 5'000'000'000;            // of the weights in one file
  std::string data;  // folder with tokenizer.model; "" = the one the checkpoint names
  bool with_tokenizer = true;
  uint64_t batch_bytes = checkpoint::kBatchBytes;
};

struct ExportReport {
  uint64_t tensors = 0;
  uint64_t files = 0;  // of weights
  uint64_t parameters = 0;
  uint64_t bytes = 0;  // of weights
};

// (bytes read, bytes in all).
using ExchangeProgress = std::function<void(uint64_t, uint64_t)>;

// `folder` must not be there, or be empty. Errors: kAlreadyExists otherwise; kDataLoss: the
// checkpoint is damaged, or of no model of muster-train; those of TokenizerFiles.
absl::StatusOr<ExportReport> ExportLlama(const std::string& checkpoint, const std::string& folder,
                                         const ExportOptions& options,
                                         const ExchangeProgress& progress = nullptr,
                                         checkpoint::FileSystem& files = checkpoint::PosixFiles());

}  // namespace muster::interchange
