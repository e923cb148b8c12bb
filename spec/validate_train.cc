#include "spec/validate_train.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "spec/mesh.h"

namespace muster::spec {
namespace {

constexpr uint32_t kWidthMax = 1u << 20;
constexpr uint32_t kLayersMax = 10'000;

class TrainRules {
 public:
  TrainRules(const v1::JobSpec& spec, std::vector<Problem>* problems)
      : train_(spec.train()),
        data_(AxisSize(spec, "data")),
        tensor_(AxisSize(spec, "tensor")),
        problems_(*problems) {}

  void Find() {
    Model();
    if (train_.data().path().empty()) {
      Add("data.path", "missing; give the folder that `muster data prepare` made");
    }
    Batch();
    Optimizer();
    if (train_.eval().samples() == 0) Add("eval.samples", "0; give at least 1");
    if (train_.steps() == 0) Add("steps", "missing or 0; give the number of optimizer steps");
    if (train_.collective() == v1::COLLECTIVE_UNSPECIFIED) Add("collective", "missing; write mpi");
    if (train_.reproducible() == v1::REPRODUCIBLE_UNSPECIFIED) {
      Add("reproducible", "missing; write run or layout");
    }
    if (train_.threads_per_rank() == 0 || train_.threads_per_rank() > 1024) {
      Add("threads_per_rank", fmt::format("{}; give 1 to 1024", train_.threads_per_rank()));
    }
  }

 private:
  void Add(const std::string& field, std::string text) {
    problems_.push_back({"train." + field, std::move(text)});
  }

  // Returns whether the number can be used in further rules.
  bool InRange(const std::string& field, uint32_t value, uint32_t most) {
    if (value >= 1 && value <= most) return true;
    Add(field, value == 0 ? fmt::format("missing or 0; give 1 to {}", most)
                          : fmt::format("{}; give 1 to {}", value, most));
    return false;
  }

  void Divides(const std::string& field, uint32_t value) {
    if (tensor_ == 0 || value % tensor_ == 0) return;
    Add(field, fmt::format("{} does not divide over tensor={} ranks; make it a multiple of {} or "
                           "lower mesh.tensor",
                           value, tensor_, tensor_));
  }

  void Model() {
    const v1::ModelSpec& model = train_.model();
    InRange("model.layers", model.layers(), kLayersMax);
    const bool width = InRange("model.d_model", model.d_model(), kWidthMax);
    const bool heads = InRange("model.heads", model.heads(), kWidthMax);
    const bool kv_heads = heads && InRange("model.kv_heads", model.kv_heads(), kWidthMax);
    const bool ffn = InRange("model.ffn", model.ffn(), kWidthMax * 8);
    InRange("model.context", model.context(), kWidthMax);
    if (width && heads) {
      if (model.d_model() % model.heads() != 0) {
        Add("model.d_model", fmt::format("{} is not a multiple of heads={}; change one of the two",
                                         model.d_model(), model.heads()));
      } else if (model.d_model() / model.heads() % 2 != 0) {
        Add("model.d_model",
            fmt::format("{} / heads={} gives an odd head width {}; rotary positions need an even "
                        "one",
                        model.d_model(), model.heads(), model.d_model() / model.heads()));
      }
    }
    if (heads) Divides("model.heads", model.heads());
    if (kv_heads) {
      if (model.heads() % model.kv_heads() != 0) {
        Add("model.kv_heads",
            fmt::format("{} does not divide heads={}; every key/value head serves the same number "
                        "of heads",
                        model.kv_heads(), model.heads()));
      }
      Divides("model.kv_heads", model.kv_heads());
    }
    if (ffn) Divides("model.ffn", model.ffn());
    if (model.context() > 0) Divides("model.context", model.context());
    const bool whole = width && heads && model.d_model() % model.heads() == 0;
    const uint32_t head_width = whole ? model.d_model() / model.heads() : 1;
    // The trainer lays tensors out in whole runs of 64 bytes.
    if (head_width % 2 == 0 && (model.d_model() % 16 != 0 || head_width % 4 != 0)) {
      Add("model.d_model",
          fmt::format("{} with heads={}; make it a multiple of 16 and of 4 x heads",
                      model.d_model(), model.heads()));
    }
    if (ffn && tensor_ != 0 && model.ffn() % tensor_ == 0 && model.ffn() % (4 * tensor_) != 0) {
      Add("model.ffn", fmt::format("{} is not a multiple of 4 x tensor = {}; take {}", model.ffn(),
                                   4 * tensor_, (model.ffn() / (4 * tensor_) + 1) * 4 * tensor_));
    }
    Positive("model.rope_theta", model.rope_theta());
    Positive("model.norm_eps", model.norm_eps());
  }

  void Batch() {
    const uint32_t global = train_.batch().global();
    const uint32_t micro = train_.batch().micro();
    const bool have_global = InRange("batch.global", global, 1u << 30);
    const bool have_micro = InRange("batch.micro", micro, 1u << 20);
    if (!have_global || !have_micro || data_ == 0) return;
    const uint64_t together = static_cast<uint64_t>(data_) * micro;
    if (global % together != 0) {
      Add("batch.global", fmt::format("{} is not a multiple of mesh.data x batch.micro = {} x {} = "
                                      "{}; change one of the three",
                                      global, data_, micro, together));
      return;
    }
    const uint64_t per_rank = global / together;
    if (train_.reproducible() == v1::REPRODUCIBLE_LAYOUT && data_ > 1 &&
        !std::has_single_bit(per_rank)) {
      Add("reproducible",
          fmt::format("layout needs a power of two of micro-batches per data rank, here {} = "
                      "{} / ({} x {}); change train.batch or write run",
                      per_rank, global, data_, micro));
    }
  }

  void Positive(const std::string& field, double value) {
    if (!(std::isfinite(value) && value > 0)) {
      Add(field, fmt::format("{}; give a number above 0", value));
    }
  }

  // From `least` to below (or at) `most`.
  void Between(const std::string& field, double value, double least, double most, bool most_too) {
    if (value >= least && (most_too ? value <= most : value < most)) return;
    Add(field, fmt::format("{}; give {} to {}{}", value, least, most_too ? "" : "below ", most));
  }

  void Optimizer() {
    const v1::OptimizerSpec& optimizer = train_.optimizer();
    if (optimizer.lr() == 0) {
      Add("optimizer.lr", "missing or 0; give the peak learning rate, for example 1.0e-3");
    } else {
      Positive("optimizer.lr", optimizer.lr());
    }
    Between("optimizer.weight_decay", optimizer.weight_decay(), 0, 100, true);
    if (!(std::isfinite(optimizer.clip()) && optimizer.clip() >= 0)) {
      Add("optimizer.clip",
          fmt::format("{}; give a gradient norm above 0, or 0 for no clipping", optimizer.clip()));
    }
    Between("optimizer.beta1", optimizer.beta1(), 0, 1, false);
    Between("optimizer.beta2", optimizer.beta2(), 0, 1, false);
    Positive("optimizer.eps", optimizer.eps());
    Between("optimizer.min_lr_ratio", optimizer.min_lr_ratio(), 0, 1, true);
    if (train_.steps() > 0 && optimizer.warmup_steps() > train_.steps()) {
      Add("optimizer.warmup_steps",
          fmt::format("{} is more than train.steps={}; the learning rate would never be reached",
                      optimizer.warmup_steps(), train_.steps()));
    }
  }

  const v1::TrainSpec& train_;
  const uint32_t data_;
  const uint32_t tensor_;
  std::vector<Problem>& problems_;
};

}  // namespace

void FindTrainProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  TrainRules(spec, problems).Find();
}

}  // namespace muster::spec
