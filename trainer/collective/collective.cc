#include "trainer/collective/collective.h"

#include "common/status.h"

namespace muster::trainer::collective {

absl::Status Collective::ReduceScatter(std::span<const float> in, std::span<float> out,
                                       std::span<const size_t> counts) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<Pending> pending, StartReduceScatter(in, out, counts));
  return pending->Wait();
}

absl::Status Collective::AllGather(std::span<const float> in, std::span<float> out,
                                   std::span<const size_t> counts) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<Pending> pending, StartAllGather(in, out, counts));
  return pending->Wait();
}

}  // namespace muster::trainer::collective
