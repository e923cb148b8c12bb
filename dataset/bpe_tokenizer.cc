// The BPE tokenizer, by SentencePiece.
//
// SentencePiece writes a space as U+2581 inside, so a U+2581 of the text itself (and anything that
// is not UTF-8) goes around it, as byte tokens.
#include <algorithm>
#include <array>

#include "common/status.h"
#include "dataset/sentencepiece_model.h"
#include "dataset/source_walk.h"
#include "dataset/tokenizer.h"

namespace muster::dataset {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
constexpr Token kEndOfDocument = 2;  // </s>
constexpr uint32_t kVocabMin = 320;  // 256 bytes, 3 control tokens, some letters
constexpr uint32_t kVocabMax = 65536;

class BpeTokenizer : public Tokenizer {
 public:
  absl::Status Load(const std::string& model) {
    const std::string error = model_.Load(model);
    if (!error.empty()) return DataLoss("tokenizer.model: {}", error);
    const int size = model_.size();
    if (size <= 0 || size > static_cast<int>(kVocabMax)) {
      return DataLoss("tokenizer.model: {} tokens, at most {}", size, kVocabMax);
    }
    size_t byte_pieces = 0;
    for (int id = 0; id < size; ++id) {
      std::string bytes;
      if (model_.IsByte(id)) {  // "<0x0A>"
        const std::string& piece = model_.Piece(id);
        const auto value = static_cast<unsigned char>(std::stoul(piece.substr(3, 2), nullptr, 16));
        bytes = static_cast<char>(value);
        byte_tokens_[value] = static_cast<Token>(id);
        ++byte_pieces;
      } else if (model_.IsText(id)) {
        bytes = model_.Piece(id);
        for (size_t at = 0; (at = bytes.find(kSpaceMark, at)) != std::string::npos; ++at) {
          bytes.replace(at, kSpaceMark.size(), " ");
        }
      }
      bytes_.push_back(std::move(bytes));
    }
    if (byte_pieces != 256) {
      return DataLoss("tokenizer.model: {} byte tokens, 256 are needed", byte_pieces);
    }
    if (model_.end_of_document() != kEndOfDocument) {
      return DataLoss("tokenizer.model: end of document is token {}, not {}",
                      model_.end_of_document(), kEndOfDocument);
    }
    return absl::OkStatus();
  }

  std::string kind() const override { return "bpe"; }
  uint32_t vocab_size() const override { return static_cast<uint32_t>(bytes_.size()); }
  Token end_of_document() const override { return kEndOfDocument; }
  std::string_view BytesOf(uint32_t token) const override {
    return token < bytes_.size() ? std::string_view(bytes_[token]) : std::string_view();
  }

  std::vector<Token> Encode(std::string_view text) const override {
    std::vector<Token> tokens;
    while (!text.empty()) {
      const size_t plain = PlainPrefix(text);
      if (plain > 0) {
        EncodePlain(text.substr(0, plain), tokens);
        text.remove_prefix(plain);
        continue;
      }
      const size_t odd = text.starts_with(kSpaceMark) ? kSpaceMark.size() : 1;
      for (char c : text.substr(0, odd)) {
        tokens.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
      }
      text.remove_prefix(odd);
    }
    return tokens;
  }

 private:
  // Bytes from the start that SentencePiece carries faithfully. Ends at a line end past kPartBytes:
  // its work grows faster than the text.
  static size_t PlainPrefix(std::string_view text) {
    constexpr size_t kPartBytes = 4096;
    size_t at = 0;
    while (at < text.size()) {
      if (text[at] == '\0' || text.substr(at).starts_with(kSpaceMark)) return at;
      const size_t length = Utf8Length(text.substr(at));
      if (length == 0) return at;
      at += length;
      if (at >= kPartBytes && text[at - 1] == '\n') return at;
    }
    return at;
  }

  void EncodePlain(std::string_view text, std::vector<Token>& out) const {
    std::vector<int> ids;
    const std::string error = model_.Encode(text, ids);
    size_t bytes = 0;
    for (int id : ids) bytes += BytesOf(static_cast<uint32_t>(id)).size();
    if (!error.empty() || bytes != text.size()) {
      // Never seen; byte tokens are always right.
      for (char c : text) out.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
      return;
    }
    for (int id : ids) out.push_back(static_cast<Token>(id));
  }

  SentencePieceModel model_;
  std::vector<std::string> bytes_;
  std::array<Token, 256> byte_tokens_{};
};

// The sample as the trainer wants it: a few lines at a time.
std::vector<std::string> Sentences(std::span<const std::string> texts) {
  constexpr size_t kBytes = 2000;
  std::vector<std::string> parts;
  for (std::string_view text : texts) {
    while (!text.empty()) {
      size_t cut = text.size() <= kBytes ? text.size() : text.rfind('\n', kBytes);
      if (cut == std::string_view::npos) cut = text.find('\n');
      cut = cut == std::string_view::npos ? text.size() : std::min(cut + 1, text.size());
      std::string part(text.substr(0, cut));
      // The trainer skips sentences with a tab, and counts a U+2581 as a space.
      std::replace(part.begin(), part.end(), '\t', ' ');
      if (part.find(kSpaceMark) == std::string::npos) parts.push_back(std::move(part));
      text.remove_prefix(cut);
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const std::string& model) {
  auto tokenizer = std::make_unique<BpeTokenizer>();
  MUSTER_RETURN_IF_ERROR(tokenizer->Load(model));
  return tokenizer;
}

absl::StatusOr<std::string> TrainBpe(std::span<const std::string> texts, uint32_t vocab_size) {
  if (vocab_size < kVocabMin || vocab_size > kVocabMax) {
    return InvalidArgument("vocab_size {}: use {} to {}", vocab_size, kVocabMin, kVocabMax);
  }
  std::string model;
  const std::string error = TrainSentencePiece(Sentences(texts), vocab_size, model);
  if (!error.empty()) {
    return InvalidArgument(
        "train a tokenizer of {} tokens: {}; use a smaller vocab_size or more text", vocab_size,
        error);
  }
  return model;
}

}  // namespace muster::dataset
