// Text to tokens and back, exactly: Decode(Encode(bytes)) = bytes, for any bytes.
//
// Two kinds. `byte`: token = byte, 256 = end of document. `bpe`: SentencePiece with byte fallback,
// no normalisation; 2 = end of document.
//
// Threads: const functions may be called from several at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::dataset {

using Token = uint16_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::string kind() const = 0;     // "byte" or "bpe"
  virtual uint32_t vocab_size() const = 0;  // tokens that can occur
  virtual Token end_of_document() const = 0;
  virtual std::vector<Token> Encode(std::string_view text) const = 0;
  // The bytes a token stands for; empty for end of document, other control tokens, and tokens at or
  // above vocab_size() (a model's padding may be sampled).
  virtual std::string_view BytesOf(uint32_t token) const = 0;

  std::string Decode(std::span<const Token> tokens) const;
};

std::unique_ptr<Tokenizer> MakeByteTokenizer();

// `model` is the content of tokenizer.model. Errors: kDataLoss.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const std::string& model);

// Learns a BPE model from sample texts (valid UTF-8), the same from the same texts always.
// Errors: kInvalidArgument, e.g. a vocabulary larger than the text supports.
absl::StatusOr<std::string> TrainBpe(std::span<const std::string> texts, uint32_t vocab_size);

}  // namespace muster::dataset
