#include "interchange/tokenizer_files.h"

#include <nlohmann/json.hpp>

#include "checkpoint/digest.h"
#include "common/status.h"

namespace muster::interchange {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kFileBytesMax = 256ull << 20;
constexpr const char* kModelFile = "tokenizer.model";
constexpr const char* kEndText = "<|endoftext|>";
constexpr uint32_t kByteEnd = 256;
constexpr uint32_t kBpeEnd = 2;

// How byte-level tokenizers write a byte as one printable letter: what is visible in Latin-1 stands
// for itself, the rest for 256, 257, ... in order (Radford et al. 2019, GPT-2).
std::string LetterOf(uint32_t byte) {
  const auto visible = [](uint32_t b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  uint32_t letter = byte;
  if (!visible(byte)) {
    letter = 256;
    for (uint32_t b = 0; b < byte; ++b) letter += visible(b) ? 0 : 1;
  }
  if (letter < 128) return std::string(1, static_cast<char>(letter));
  return {static_cast<char>(0xc0 | letter >> 6), static_cast<char>(0x80 | (letter & 63))};
}

std::string Text(const Json& json) { return json.dump(2) + "\n"; }

std::string GenerationConfig(uint32_t end) {
  return Text({{"bos_token_id", end}, {"eos_token_id", end}, {"do_sample", false}});
}

}  // namespace

bool IsByteTokenizer(const std::string& reference) { return reference == "byte"; }

uint32_t EndToken(const std::string& reference) {
  return IsByteTokenizer(reference) ? kByteEnd : kBpeEnd;
}

std::string ByteTokenizerJson() {
  Json vocab = Json::object();
  for (uint32_t byte = 0; byte < 256; ++byte) vocab[LetterOf(byte)] = byte;
  vocab[kEndText] = kByteEnd;
  const Json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", false}};
  return Text({{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens",
                {{{"id", kByteEnd},
                  {"content", kEndText},
                  {"single_word", false},
                  {"lstrip", false},
                  {"rstrip", false},
                  {"normalized", false},
                  {"special", true}}}},
               {"normalizer", nullptr},
               {"pre_tokenizer", bytes},
               {"post_processor", nullptr},
               {"decoder", bytes},
               {"model",
                {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", nullptr},
                 {"end_of_word_suffix", nullptr},
                 {"fuse_unk", false},
                 {"byte_fallback", false},
                 {"ignore_merges", false},
                 {"vocab", vocab},
                 {"merges", Json::array()}}}});
}

absl::StatusOr<std::map<std::string, std::string>> TokenizerFiles(const std::string& reference,
                                                                  const std::string& data,
                                                                  checkpoint::FileSystem& files) {
  std::map<std::string, std::string> out;
  out["generation_config.json"] = GenerationConfig(EndToken(reference));
  if (IsByteTokenizer(reference)) {
    out["tokenizer.json"] = ByteTokenizerJson();
    out["tokenizer_config.json"] = Text({{"tokenizer_class", "PreTrainedTokenizerFast"},
                                         {"bos_token", kEndText},
                                         {"eos_token", kEndText},
                                         {"clean_up_tokenization_spaces", false}});
    return out;
  }
  const std::string path = data + "/" + kModelFile;
  absl::StatusOr<std::string> model = checkpoint::ReadWholeFile(files, path, kFileBytesMax);
  if (!model.ok()) {
    return NotFound(
        "{} (the checkpoint's tokenizer); name its dataset by --data, or leave it out by "
        "--no-tokenizer",
        std::string(model.status().message()));
  }
  if (reference != "bpe:" + checkpoint::Sha256Hex(*model)) {
    return FailedPrecondition(
        "{} is not the tokenizer that the model was trained with; name the right dataset by "
        "--data, or leave it out by --no-tokenizer",
        path);
  }
  out[kModelFile] = *std::move(model);
  out["tokenizer_config.json"] = Text({{"tokenizer_class", "LlamaTokenizer"},
                                       {"unk_token", "<unk>"},
                                       {"bos_token", "<s>"},
                                       {"eos_token", "</s>"},
                                       {"add_bos_token", false},
                                       {"add_eos_token", false},
                                       {"add_prefix_space", false},
                                       {"legacy", false},
                                       {"clean_up_tokenization_spaces", false}});
  return out;
}

absl::StatusOr<std::string> TokenizerIn(const std::string& folder, checkpoint::FileSystem& files) {
  const auto model = checkpoint::ReadWholeFile(files, folder + "/" + kModelFile, kFileBytesMax);
  if (model.ok()) return "bpe:" + checkpoint::Sha256Hex(*model);
  if (!absl::IsNotFound(model.status())) return model.status();
  const auto json = checkpoint::ReadWholeFile(files, folder + "/tokenizer.json", kFileBytesMax);
  if (json.ok() && *json == ByteTokenizerJson()) return std::string("byte");
  return std::string();
}

}  // namespace muster::interchange
