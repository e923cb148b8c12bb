#include "dataset/sentencepiece_model.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

namespace muster::dataset {
namespace {

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& all) : all_(all) {}
  bool done() const override { return at_ == all_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return all_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& all_;
  size_t at_ = 0;
};

std::string Text(const sentencepiece::util::Status& status) {
  return status.ok() ? "" : status.ToString();
}

}  // namespace

struct SentencePieceModel::Processor {
  sentencepiece::SentencePieceProcessor it;
};

SentencePieceModel::SentencePieceModel() : processor_(std::make_unique<Processor>()) {}
SentencePieceModel::~SentencePieceModel() = default;

std::string SentencePieceModel::Load(const std::string& model) {
  return Text(processor_->it.LoadFromSerializedProto(model));
}
int SentencePieceModel::size() const { return processor_->it.GetPieceSize(); }
int SentencePieceModel::end_of_document() const { return processor_->it.eos_id(); }
bool SentencePieceModel::IsByte(int id) const { return processor_->it.IsByte(id); }
bool SentencePieceModel::IsText(int id) const {
  return !IsByte(id) && !processor_->it.IsControl(id) && !processor_->it.IsUnknown(id);
}
const std::string& SentencePieceModel::Piece(int id) const { return processor_->it.IdToPiece(id); }
std::string SentencePieceModel::Encode(std::string_view text, std::vector<int>& ids) const {
  return Text(processor_->it.Encode(text, &ids));
}

std::string TrainSentencePiece(const std::vector<std::string>& sentences, uint32_t vocab_size,
                               std::string& model) {
  Sentences iterator(sentences);
  return Text(
      sentencepiece::SentencePieceTrainer::Train({{"model_type", "bpe"},
                                                  {"vocab_size", std::to_string(vocab_size)},
                                                  {"byte_fallback", "true"},
                                                  {"character_coverage", "0.9995"},
                                                  {"normalization_rule_name", "identity"},
                                                  {"add_dummy_prefix", "false"},
                                                  {"remove_extra_whitespaces", "false"},
                                                  {"allow_whitespace_only_pieces", "true"},
                                                  {"max_sentence_length", "1000000"},
                                                  {"num_threads", "1"},
                                                  {"minloglevel", "2"}},
                                                 &iterator, &model));
}

}  // namespace muster::dataset
