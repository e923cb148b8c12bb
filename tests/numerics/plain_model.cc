#include "tests/numerics/plain_model.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

namespace muster::trainer::model {
namespace {

using Rows = std::vector<std::vector<double>>;

// y = weight x for every row; weight is [out, in].
Rows Linear(const Rows& x, const double* weight, size_t out) {
  Rows y;
  for (const auto& row : x) {
    std::vector<double> result(out);
    for (size_t i = 0; i < out; ++i) {
      for (size_t j = 0; j < row.size(); ++j) result[i] += weight[i * row.size() + j] * row[j];
    }
    y.push_back(std::move(result));
  }
  return y;
}

Rows Norm(const Rows& x, const double* weight, double eps) {
  Rows y = x;
  for (auto& row : y) {
    double squares = 0;
    for (double value : row) squares += value * value;
    const double rms = std::sqrt(squares / static_cast<double>(row.size()) + eps);
    for (size_t i = 0; i < row.size(); ++i) row[i] = row[i] / rms * weight[i];
  }
  return y;
}

void TurnHeads(Rows& x, size_t head_dim, double theta) {
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t head = 0; head < x[t].size(); head += head_dim) {
      for (size_t i = 0; i < head_dim / 2; ++i) {
        const double angle =
            static_cast<double>(t) *
            std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
        double& a = x[t][head + i];
        double& b = x[t][head + i + head_dim / 2];
        const double turned = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = turned;
      }
    }
  }
}

Rows Attention(const Rows& q, const Rows& k, const Rows& v, size_t head_dim) {
  Rows out;
  const size_t group = q[0].size() / k[0].size();
  for (size_t t = 0; t < q.size(); ++t) {
    std::vector<double> row(q[t].size());
    for (size_t head = 0; head < row.size() / head_dim; ++head) {
      const size_t at = head * head_dim;
      const size_t kv = head / group * head_dim;
      std::vector<double> weights;
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) {
        double score = 0;
        for (size_t i = 0; i < head_dim; ++i) score += q[t][at + i] * k[s][kv + i];
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(head_dim))));
        sum += weights.back();
      }
      for (size_t s = 0; s <= t; ++s) {
        for (size_t i = 0; i < head_dim; ++i) row[at + i] += weights[s] / sum * v[s][kv + i];
      }
    }
    out.push_back(std::move(row));
  }
  return out;
}

void AddTo(Rows& x, const Rows& branch) {
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < x[t].size(); ++i) x[t][i] += branch[t][i];
  }
}

}  // namespace

double PlainLoss(const parallel::ModelConfig& config, const parallel::ParameterTable& table,
                 std::span<const double> params, std::span<const int32_t> tokens,
                 std::span<const int32_t> targets) {
  const auto weight = [&](const std::string& name) {
    return params.data() + table.Find(name).begin;
  };
  const size_t context = static_cast<size_t>(config.context);
  const size_t d = static_cast<size_t>(config.d_model);
  const size_t dim = static_cast<size_t>(config.head_dim());
  const size_t kv = static_cast<size_t>(config.kv_heads) * dim;
  const size_t ffn = static_cast<size_t>(config.ffn);
  double loss = 0;
  for (size_t first = 0; first < tokens.size(); first += context) {
    Rows x;
    for (size_t t = 0; t < context; ++t) {
      const double* row =
          weight("model.embed_tokens.weight") + static_cast<size_t>(tokens[first + t]) * d;
      x.emplace_back(row, row + d);
    }
    for (int layer = 0; layer < config.layers; ++layer) {
      const std::string prefix = fmt::format("model.layers.{}.", layer);
      const std::string self = prefix + "self_attn.";
      Rows in = Norm(x, weight(prefix + "input_layernorm.weight"), config.norm_eps);
      Rows q = Linear(in, weight(self + "q_proj.weight"), d);
      Rows k = Linear(in, weight(self + "k_proj.weight"), kv);
      const Rows v = Linear(in, weight(self + "v_proj.weight"), kv);
      TurnHeads(q, dim, config.rope_theta);
      TurnHeads(k, dim, config.rope_theta);
      AddTo(x, Linear(Attention(q, k, v, dim), weight(self + "o_proj.weight"), d));

      in = Norm(x, weight(prefix + "post_attention_layernorm.weight"), config.norm_eps);
      Rows hidden = Linear(in, weight(prefix + "mlp.gate_proj.weight"), ffn);
      const Rows up = Linear(in, weight(prefix + "mlp.up_proj.weight"), ffn);
      for (size_t t = 0; t < context; ++t) {
        for (size_t i = 0; i < ffn; ++i) {
          hidden[t][i] = hidden[t][i] / (1 + std::exp(-hidden[t][i])) * up[t][i];
        }
      }
      AddTo(x, Linear(hidden, weight(prefix + "mlp.down_proj.weight"), d));
    }
    const Rows logits = Linear(Norm(x, weight("model.norm.weight"), config.norm_eps),
                               weight("lm_head.weight"), static_cast<size_t>(config.vocab));
    for (size_t t = 0; t < context; ++t) {
      if (targets[first + t] < 0) continue;
      double sum = 0;
      for (double logit : logits[t]) sum += std::exp(logit);
      loss += std::log(sum) - logits[t][static_cast<size_t>(targets[first + t])];
    }
  }
  return loss;
}

}  // namespace muster::trainer::model
