// Memory for fp32 arrays: 64-byte aligned, zeroed, on huge pages where the system gives them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace muster::trainer::kernels::cpu {

class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(size_t count);

  float* data() const { return data_.get(); }
  size_t size() const { return count_; }
  std::span<float> span() const { return {data_.get(), count_}; }

 private:
  struct Free {
    void operator()(float* data) const;
  };
  std::unique_ptr<float, Free> data_;
  size_t count_ = 0;
};

}  // namespace muster::trainer::kernels::cpu
