// Draws text from a trained model, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataset/tokenizer.h"
#include "trainer/loop/trained_model.h"

namespace muster::trainer::loop {

struct SamplingOptions {
  std::string prompt = {};
  uint64_t tokens = 200;
  double temperature = 0.8;  // 0 = always the likeliest
  uint64_t top_k = 0;        // draw among the k likeliest; 0 = all
  uint64_t seed = 1;
};

// The token drawn from `logits`; a function of (options, draw) alone.
uint32_t DrawToken(std::span<const float> logits, const SamplingOptions& options, uint64_t draw);

// Gives the bytes of each new token to `text`; ends early at an end of document. An empty prompt
// stands for the beginning of a document.
absl::Status SampleText(TrainedModel& trained, const dataset::Tokenizer& tokenizer,
                        const SamplingOptions& options,
                        const std::function<void(std::string_view)>& text);

// `{"tokens":[...],"logits":[...]}`: the prompt's tokens (the last ones that fit the model's
// context) and the logits of the token after them, each number so that it reads back the same.
absl::StatusOr<std::string> LogitsJson(TrainedModel& trained, const dataset::Tokenizer& tokenizer,
                                       const std::string& prompt);

}  // namespace muster::trainer::loop
