// Every parameter of one tensor-parallel rank, in one flat fp32 buffer.
//
// Params, grads and both optimizer moments use the same layout. Order: embedding, layers 0…n-1,
// final norm, output projection. Names are Hugging Face's for Llama, matrices [out, in] row-major.
// A parameter begins at a multiple of 64 floats, a bucket at a multiple of 1024; the gaps are
// padding, zero in all buffers. Within a layer q, k, v lie without a gap, so do gate and up:
// each is one matrix product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/parallel/model_config.h"

namespace muster::trainer::parallel {

inline constexpr size_t kParameterAlignment = 64;  // floats
inline constexpr size_t kBlock = 1024;             // floats; buckets and ZeRO shards begin on one

// Half open, in floats of the flat buffer.
struct Interval {
  size_t begin = 0;
  size_t end = 0;

  size_t count() const { return end - begin; }
  bool operator==(const Interval&) const = default;
};

Interval Intersect(Interval a, Interval b);  // {x, x} when they do not meet

struct Parameter {
  std::string name;
  std::vector<int64_t> global_shape;  // one or two dimensions
  std::vector<int64_t> local_shape;
  int split_dim = -1;        // the dimension shared out over tensor ranks; -1: everyone has it all
  int64_t split_offset = 0;  // of the local part, along split_dim
  size_t begin = 0;          // in the flat buffer
  size_t count = 0;          // local elements
  int bucket = 0;
  bool decay = false;  // weight decay applies (matrices, not norms)

  // Same bits on every rank of the tensor group (Model::Backward sees to it for gradients). Counts
  // once in a norm over the whole model: on tensor rank 0.
  bool replicated() const { return split_dim < 0; }
  Interval interval() const { return {begin, begin + count}; }
};

struct ParameterTable {
  int tensor_rank = 0;
  int tensor_size = 1;
  std::vector<Parameter> parameters;  // by begin
  std::vector<Interval> buckets;      // gradient buckets, tile [0, size); padding belongs to them
  size_t size = 0;                    // floats of the flat buffer, a multiple of kBlock

  const Parameter& Find(std::string_view name) const;  // CHECKs that it is there
};

// Bucket 0 is the embedding, 1…layers the layers, layers + 1 final norm and output projection.
// kInvalidArgument as CheckModel.
absl::StatusOr<ParameterTable> MakeParameterTable(const ModelConfig& config, int tensor_rank,
                                                  int tensor_size);

}  // namespace muster::trainer::parallel
