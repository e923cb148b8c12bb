#include "trainer/loop/run_counters.h"

#include <nlohmann/json.hpp>

#include "trainer/loop/model_json.h"

namespace muster::trainer::loop {

checkpoint::RunState RunStateOf(const RunCounters& counters, const TrainConfig& config,
                                const parallel::ModelConfig& model,
                                const dataset::DatasetInfo& data) {
  checkpoint::RunState run;
  run.next_sample = counters.next_sample;
  run.tokens = counters.tokens;
  run.seed = config.seed;
  run.layout = config.mesh.ToString();
  run.config_digest = config.digest;
  run.dataset_path = config.data_path;
  run.dataset_digest = data.digest;
  run.tokenizer = dataset::TokenizerReference(data);
  run.model_json = ModelJson(model);
  run.extra_json = nlohmann::json({{"first_eval_bits_per_byte", counters.first_bits_per_byte},
                                   {"eval_bits_per_byte", counters.bits_per_byte}})
                       .dump();
  return run;
}

RunCounters CountersOf(const checkpoint::RunState& run) {
  RunCounters counters{.next_sample = run.next_sample, .tokens = run.tokens};
  const nlohmann::json extra = nlohmann::json::parse(run.extra_json, nullptr, false);
  if (extra.is_object()) {
    counters.first_bits_per_byte = extra.value("first_eval_bits_per_byte", 0.0);
    counters.bits_per_byte = extra.value("eval_bits_per_byte", 0.0);
  }
  return counters;
}

}  // namespace muster::trainer::loop
