#include "tests/numerics/tensor_ranks.h"

#include <random>
#include <thread>

#include "common/check.h"
#include "trainer/collective/in_process/in_process.h"
#include "trainer/kernels/cpu/flush_denormals.h"
#include "trainer/model/init.h"
#include "trainer/parallel/flat_range.h"

namespace muster::trainer::model {

Batch MakeBatch(const parallel::ModelConfig& config, int sequences, unsigned seed) {
  std::mt19937 random(seed);
  Batch batch;
  for (int i = 0; i < sequences * config.context; ++i) {
    batch.tokens.push_back(static_cast<int32_t>(random() % static_cast<unsigned>(config.vocab)));
    const auto target = static_cast<int32_t>(random() % static_cast<unsigned>(config.vocab));
    batch.targets.push_back(random() % 9 == 0 ? kNoTarget : target);
  }
  return batch;
}

std::vector<float> MakeParameters(const parallel::ModelConfig& config,
                                  const parallel::ParameterTable& table) {
  std::vector<float> params(table.size);
  InitParameters(config, table, 7, params);
  for (const parallel::Parameter& parameter : table.parameters) {
    for (size_t i = 0; i < parameter.count; ++i) {
      float& value = params[parameter.begin + i];
      value = parameter.replicated() ? 0.7f + 0.01f * static_cast<float>(i % 50) : 10.0f * value;
    }
  }
  return params;
}

void Collect(const parallel::ParameterTable& table, std::span<const float> flat,
             WholeTensors& whole) {
  for (const parallel::Piece& piece : parallel::PiecesOfRange(table, {0, table.size})) {
    std::vector<float>& tensor = whole[piece.name];
    const bool matrix = piece.global_shape.size() == 2;
    const int64_t columns = matrix ? piece.global_shape[1] : 1;
    tensor.resize(static_cast<size_t>(piece.global_shape[0] * columns));
    const float* value = flat.data() + piece.flat_begin;
    for (int64_t i = 0; i < piece.extent[0]; ++i) {
      for (int64_t j = 0; j < (matrix ? piece.extent[1] : 1); ++j, ++value) {
        float& at = tensor[static_cast<size_t>((piece.offset[0] + i) * columns +
                                               (matrix ? piece.offset[1] + j : 0))];
        CHECK(!piece.replicated || table.tensor_rank == 0 || at == *value,
              "{}: ranks 0 and {} differ", piece.name, table.tensor_rank);
        at = *value;
      }
    }
  }
}

Outcome RunTensorGroup(const parallel::ModelConfig& config, int tensor_size, const Batch& batch,
                       float loss_scale) {
  const int sequences = static_cast<int>(batch.tokens.size()) / config.context;
  auto world = collective::MakeInProcessWorld(tensor_size);
  std::vector<Outcome> outcomes(static_cast<size_t>(tensor_size));
  std::vector<std::vector<float>> grads(static_cast<size_t>(tensor_size));
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < outcomes.size(); ++rank) {
    threads.emplace_back([&, rank] {
      kernels::cpu::FlushDenormals();
      Outcome& outcome = outcomes[rank];
      auto model = Model::Create(config, sequences, tensor_size == 1 ? nullptr : world[rank].get());
      CHECK(model.ok(), "{}", model.status().ToString());
      const auto params = MakeParameters(config, (*model)->table());
      grads[rank].assign(params.size(), 3.0f);  // to be overwritten
      const auto loss = (*model)->Forward(params, batch.tokens, batch.targets);
      CHECK(loss.ok(), "{}", loss.status().ToString());
      outcome.loss = *loss;
      const auto status =
          (*model)->Backward(params, loss_scale, false, grads[rank], [&](int bucket) {
            outcome.bucket_calls.push_back(bucket);
            return absl::OkStatus();
          });
      CHECK(status.ok(), "{}", status.ToString());
      const auto logits = (*model)->Logits(params, std::span(batch.tokens).first(5));
      CHECK(logits.ok(), "{}", logits.status().ToString());
      outcome.logits = *logits;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t rank = 0; rank < outcomes.size(); ++rank) {
    CHECK(outcomes[rank].loss.sum == outcomes[0].loss.sum, "rank {} has another loss", rank);
    CHECK(outcomes[rank].logits == outcomes[0].logits, "rank {} has other logits", rank);
    const auto table = parallel::MakeParameterTable(config, static_cast<int>(rank), tensor_size);
    Collect(*table, grads[rank], outcomes[0].grads);
  }
  return std::move(outcomes[0]);
}

}  // namespace muster::trainer::model
