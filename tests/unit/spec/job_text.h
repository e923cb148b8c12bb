// A small good job file to break in tests.
#pragma once

#include <string>

namespace muster::spec {

inline const char kGoodJob[] = R"(apiVersion: muster/v1
kind: TrainJob
name: gpt-stdlib
mesh: {data: 2, tensor: 2}
resources: {slots_per_rank: 1}
train:
  model: {layers: 4, d_model: 256, heads: 8, kv_heads: 4, ffn: 688, context: 256}
  data: {path: data/stdlib}
  batch: {global: 32, micro: 4}
  optimizer: {lr: 1.0e-3, warmup_steps: 20, weight_decay: 0.1, clip: 1.0}
  steps: 200
  collective: mpi
checkpoint: {path: checkpoints, every_steps: 20, keep: 3}
recovery: {attempts_without_progress: 3}
)";

// kGoodJob with the first `from` replaced; aborts the test's point if `from` is not there.
inline std::string With(const std::string& from, const std::string& to) {
  std::string text = kGoodJob;
  const size_t at = text.find(from);
  return at == std::string::npos ? "no such text: " + from : text.replace(at, from.size(), to);
}

}  // namespace muster::spec
