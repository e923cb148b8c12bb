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

// Everything a job can say about where and when it runs.
inline const char kFullJob[] = R"(apiVersion: muster/v1
kind: TrainJob
name: sweep
mesh: {data: 4, pipe: {size: 2, within: rack}, tensor: {size: 8, within: nvlink}}
resources: {slots_per_rank: 1, device: H100, exclusive: true}
placement:
  select: {zone: a, tier: 1}
  exclude:
    - n[3-5]
    - gpu7
  tolerate: [maintenance]
  spread: {axis: data, across: rack, at_least: 2}
schedule:
  queue: research
  priority: -5
  time_limit: 1d12h
  preemptible: false
  preempt_grace: 90s
  hold: true
  after: [prep, {job: 12, when: ended}]
  array: {count: 10, at_once: 2}
recovery: {hot_spares: 1, spare_share: 0.125, lend_spares: true}
program: {command: [./train]}
)";

// kGoodJob with the first `from` replaced; aborts the test's point if `from` is not there.
inline std::string With(const std::string& from, const std::string& to) {
  std::string text = kGoodJob;
  const size_t at = text.find(from);
  return at == std::string::npos ? "no such text: " + from : text.replace(at, from.size(), to);
}

}  // namespace muster::spec
