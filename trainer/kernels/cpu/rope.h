// Rotary position embedding (Su et al. 2021, arXiv:2104.09864, section 3.2), in the pairing of
// Hugging Face's Llama: element i of a head turns with element i + head_dim/2, by the angle
// position · theta^(-2i / head_dim).
//
// The row's position is row mod `context`. Backward is the turn by the opposite angle.
#pragma once

#include <cstdint>
#include <vector>

namespace muster::trainer::kernels::cpu {

struct RopeTable {
  RopeTable(int64_t context, int64_t head_dim, double theta);

  int64_t context;
  int64_t head_dim;
  std::vector<float> cosine;  // [context, head_dim / 2]
  std::vector<float> sine;
};

enum class Turn { kForward, kBackward };

// In place on x: [rows, heads · head_dim], `stride` floats from row to row.
void Rope(const RopeTable& table, Turn turn, int64_t rows, int64_t heads, int64_t stride, float* x);

}  // namespace muster::trainer::kernels::cpu
