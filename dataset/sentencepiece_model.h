// SentencePiece behind std types.
//
// Its headers declare an absl::string_view of their own, so sentencepiece_model.cc is the one file
// that includes them, and it includes nothing of Abseil. Errors are texts; empty means ok.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace muster::dataset {

class SentencePieceModel {
 public:
  SentencePieceModel();
  ~SentencePieceModel();

  std::string Load(const std::string& model);
  int size() const;
  int end_of_document() const;  // the id of </s>
  bool IsByte(int id) const;
  bool IsText(int id) const;  // no byte, control or unknown token
  const std::string& Piece(int id) const;
  std::string Encode(std::string_view text, std::vector<int>& ids) const;

 private:
  struct Processor;
  std::unique_ptr<Processor> processor_;
};

// Trains a BPE model with byte fallback on `sentences`; one thread, so the same from the same.
std::string TrainSentencePiece(const std::vector<std::string>& sentences, uint32_t vocab_size,
                               std::string& model);

}  // namespace muster::dataset
