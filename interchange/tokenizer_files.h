// The tokenizer's part of a Hugging Face folder.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"

namespace muster::interchange {

// As a checkpoint names it: "byte", or "bpe:<sha256 of tokenizer.model>".
bool IsByteTokenizer(const std::string& reference);

// The token that ends a document.
uint32_t EndToken(const std::string& reference);

// tokenizer.json of the byte tokenizer: 256 tokens, one per byte, no merges, and <|endoftext|>.
std::string ByteTokenizerJson();

// File name → text, of all tokenizer files. The SentencePiece model is read from `data`, the folder
// of the dataset, and must be the one that `reference` names. Errors: kNotFound and
// kFailedPrecondition say what to give instead.
absl::StatusOr<std::map<std::string, std::string>> TokenizerFiles(const std::string& reference,
                                                                  const std::string& data,
                                                                  checkpoint::FileSystem& files);

// The reference of what lies in a Hugging Face folder; "" if it is neither of our two.
absl::StatusOr<std::string> TokenizerIn(const std::string& folder, checkpoint::FileSystem& files);

}  // namespace muster::interchange
