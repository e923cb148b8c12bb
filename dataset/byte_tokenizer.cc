// The byte-level tokenizer, and what all tokenizers share.
#include <array>

#include "dataset/tokenizer.h"

namespace muster::dataset {
namespace {

class ByteTokenizer : public Tokenizer {
 public:
  ByteTokenizer() {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
  }
  std::string kind() const override { return "byte"; }
  uint32_t vocab_size() const override { return 257; }
  Token end_of_document() const override { return 256; }
  std::vector<Token> Encode(std::string_view text) const override {
    std::vector<Token> tokens(text.size());
    for (size_t i = 0; i < text.size(); ++i) tokens[i] = static_cast<unsigned char>(text[i]);
    return tokens;
  }
  std::string_view BytesOf(uint32_t token) const override {
    return token < 256 ? std::string_view(&bytes_[token], 1) : std::string_view();
  }

 private:
  std::array<char, 256> bytes_;
};

}  // namespace

std::string Tokenizer::Decode(std::span<const Token> tokens) const {
  std::string text;
  for (Token token : tokens) text += BytesOf(token);
  return text;
}

std::unique_ptr<Tokenizer> MakeByteTokenizer() { return std::make_unique<ByteTokenizer>(); }

}  // namespace muster::dataset
