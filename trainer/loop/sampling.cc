#include "trainer/loop/sampling.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/status.h"

namespace muster::trainer::loop {
namespace {

// Uniform in [0, 1), a function of (seed, draw): splitmix64 (Steele et al. 2014).
double Uniform(uint64_t seed, uint64_t draw) {
  uint64_t z = seed * 0x9E3779B97F4A7C15ull + draw * 0xBF58476D1CE4E5B9ull + 0x94D049BB133111EBull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

// An empty text stands for the beginning of a document.
std::vector<int32_t> TokensOf(const dataset::Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> tokens;
  for (dataset::Token token : tokenizer.Encode(text)) tokens.push_back(token);
  if (tokens.empty()) tokens.push_back(tokenizer.end_of_document());
  return tokens;
}

std::span<const int32_t> LastOf(std::span<const int32_t> tokens, int count) {
  const auto most = static_cast<size_t>(count);
  return tokens.size() > most ? tokens.last(most) : tokens;
}

}  // namespace

uint32_t DrawToken(std::span<const float> logits, const SamplingOptions& options, uint64_t draw) {
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  if (options.temperature <= 0) return order[0];
  if (options.top_k > 0 && options.top_k < order.size()) order.resize(options.top_k);
  std::vector<double> weights;
  double total = 0;
  for (uint32_t token : order) {
    weights.push_back(std::exp((logits[token] - logits[order[0]]) / options.temperature));
    total += weights.back();
  }
  double left = Uniform(options.seed, draw) * total;
  for (size_t i = 0; i < order.size(); ++i) {
    left -= weights[i];
    if (left < 0) return order[i];
  }
  return order.back();
}

absl::StatusOr<std::string> LogitsJson(TrainedModel& trained, const dataset::Tokenizer& tokenizer,
                                       const std::string& prompt) {
  const std::vector<int32_t> tokens = TokensOf(tokenizer, prompt);
  const std::span<const int32_t> seen = LastOf(tokens, trained.model->config().context);
  MUSTER_ASSIGN_OR_RETURN(std::vector<float> logits,
                          trained.model->Logits(trained.params.span(), seen));
  return fmt::format("{{\"tokens\":[{}],\"logits\":[{:.9g}]}}", fmt::join(seen, ","),
                     fmt::join(logits, ","));
}

absl::Status SampleText(TrainedModel& trained, const dataset::Tokenizer& tokenizer,
                        const SamplingOptions& options,
                        const std::function<void(std::string_view)>& text) {
  std::vector<int32_t> tokens = TokensOf(tokenizer, options.prompt);
  for (uint64_t draw = 0; draw < options.tokens; ++draw) {
    MUSTER_ASSIGN_OR_RETURN(std::vector<float> logits,
                            trained.model->Logits(trained.params.span(),
                                                  LastOf(tokens, trained.model->config().context)));
    const uint32_t token = DrawToken(logits, options, draw);
    if (token == tokenizer.end_of_document()) break;
    text(tokenizer.BytesOf(token));
    tokens.push_back(static_cast<int32_t>(token));
  }
  return absl::OkStatus();
}

}  // namespace muster::trainer::loop
