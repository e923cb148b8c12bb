// A small Llama with random weights as a checkpoint, written in random pieces.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "interchange/llama_config.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::interchange {

inline LlamaConfig RandomLlama(std::mt19937_64& random) {
  LlamaConfig config;
  config.layers = 1 + random() % 3;
  config.kv_heads = 1 + random() % 3;
  config.heads = config.kv_heads * (1 + random() % 2);
  config.d_model = config.heads * 4 * (1 + random() % 4);
  config.ffn = 4 * (1 + random() % 12);
  config.context = 16;
  config.vocab = 1 + random() % 200;
  config.rope_theta = random() % 2 ? 10000.0 : 500000.0;
  config.norm_eps = random() % 2 ? 1e-5 : 1e-6;
  return config;
}

// Weights and moments; the rows that pad the vocabulary hold what they hold.
inline checkpoint::Model LlamaModel(const LlamaConfig& config, std::mt19937_64& random) {
  checkpoint::Model model;
  for (const LlamaTensor& tensor : LlamaTensors(config)) {
    for (const std::string prefix : {"", "adamw.exp_avg."}) {
      const checkpoint::Box box = checkpoint::WholeTensor(
          prefix + tensor.name, checkpoint::DType::kF32, tensor.padded_shape);
      std::vector<float> values(ElementCount(box));
      for (float& value : values) value = std::normal_distribution<float>(0, 0.02f)(random);
      checkpoint::Bytes bytes(ByteCount(box));
      std::memcpy(bytes.data(), values.data(), bytes.size());
      model.tensors.push_back(box);
      model.bytes[box.tensor] = std::move(bytes);
    }
  }
  return model;
}

// Saves with the run state of a trained byte-level model.
inline absl::StatusOr<std::string> SaveLlama(const std::string& root, checkpoint::CheckpointId id,
                                             const LlamaConfig& config,
                                             const checkpoint::Model& model,
                                             std::mt19937_64& random, size_t writers) {
  using namespace checkpoint;  // NOLINT: a test
  MUSTER_ASSIGN_OR_RETURN(const std::string folder, PrepareCheckpointFolder(root, id));
  std::vector<std::vector<Box>> boxes(writers);
  for (const Box& whole : model.tensors) {
    for (Box& part : RandomCuts(whole, random, 1 + random() % (writers + 1))) {
      boxes[random() % writers].push_back(std::move(part));
    }
  }
  std::vector<ShardDigest> digests;
  for (size_t w = 0; w < writers; ++w) {
    std::vector<Bytes> bytes;
    std::vector<Slice> slices;
    for (const Box& box : boxes[w]) bytes.push_back(CutOut(model, box));
    for (size_t i = 0; i < bytes.size(); ++i) slices.push_back({boxes[w][i], bytes[i]});
    MUSTER_ASSIGN_OR_RETURN(ShardDigest digest, WriteShard(folder, WriterName(w), slices));
    digests.push_back(std::move(digest));
  }
  RunState run;
  run.model_json = ModelJson(config);
  run.tokenizer = "byte";
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest,
                          BuildManifest(id.step, id.attempt, "llama-1-abc", run, digests));
  MUSTER_RETURN_IF_ERROR(WriteManifest(folder, manifest));
  MUSTER_RETURN_IF_ERROR(Commit(folder, {id.step, id.attempt, 1, manifest.sha256}));
  return folder;
}

// One tensor of a checkpoint, whole.
inline std::vector<float> ReadFloats(const std::string& folder, const LlamaTensor& tensor) {
  const checkpoint::Box box =
      checkpoint::WholeTensor(tensor.name, checkpoint::DType::kF32, tensor.padded_shape);
  std::vector<float> values(ElementCount(box));
  const auto manifest = checkpoint::ReadManifest(folder);
  EXPECT_TRUE(manifest.ok()) << manifest.status();
  const checkpoint::Request request{box, std::as_writable_bytes(std::span(values))};
  const auto loaded = checkpoint::Load(folder, *manifest, std::span(&request, 1));
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return values;
}

}  // namespace muster::interchange
