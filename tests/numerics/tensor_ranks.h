// Runs one micro-batch through a tensor group of threads and gathers what it computed into whole
// tensors by name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trainer/model/model.h"
#include "trainer/parallel/model_config.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::model {

using WholeTensors = std::map<std::string, std::vector<float>>;

struct Batch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;  // about one in nine is kNoTarget
};

// `sequences` of pseudo-random tokens.
Batch MakeBatch(const parallel::ModelConfig& config, int sequences, unsigned seed);

// InitParameters, with the norms moved off 1 and matrices made larger, so that no gradient is tiny.
// Like the values themselves a function of names and places, not of the layout.
std::vector<float> MakeParameters(const parallel::ModelConfig& config,
                                  const parallel::ParameterTable& table);

// This rank's part of every tensor. CHECKs that copies of replicated ones are equal bit for bit.
void Collect(const parallel::ParameterTable& table, std::span<const float> flat,
             WholeTensors& whole);

struct Outcome {
  TokenLoss loss;
  WholeTensors grads;
  std::vector<float> logits;      // after the first sequence's first five tokens
  std::vector<int> bucket_calls;  // of rank 0
};

// Forward, Backward with loss_scale, Logits, on `tensor_size` threads. Every rank's loss and logits
// must be the same bits.
Outcome RunTensorGroup(const parallel::ModelConfig& config, int tensor_size, const Batch& batch,
                       float loss_scale);

}  // namespace muster::trainer::model
