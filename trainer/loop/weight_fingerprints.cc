#include "trainer/loop/weight_fingerprints.h"

#include <cstring>

#include "checkpoint/fingerprint.h"
#include "common/status.h"

namespace muster::trainer::loop {
namespace {

checkpoint::Box LocalBox(const parallel::Parameter& parameter) {
  checkpoint::Box box;
  box.tensor = parameter.name;
  box.dtype = checkpoint::DType::kF32;
  box.shape.assign(parameter.global_shape.begin(), parameter.global_shape.end());
  box.extent.assign(parameter.local_shape.begin(), parameter.local_shape.end());
  box.offset.assign(box.shape.size(), 0);
  if (!parameter.replicated()) {
    box.offset[static_cast<size_t>(parameter.split_dim)] =
        static_cast<uint64_t>(parameter.split_offset);
  }
  return box;
}

}  // namespace

std::vector<uint64_t> LocalFingerprints(const parallel::ParameterTable& table,
                                        std::span<const float> params) {
  std::vector<uint64_t> out;
  out.reserve(table.parameters.size());
  for (const parallel::Parameter& parameter : table.parameters) {
    out.push_back(checkpoint::Fingerprint(
        LocalBox(parameter), std::as_bytes(params.subspan(parameter.begin, parameter.count))));
  }
  return out;
}

absl::StatusOr<rank::Fingerprints> WholeFingerprints(const parallel::ParameterTable& table,
                                                     const std::vector<uint64_t>& local,
                                                     const RankGroups& groups) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          groups.tensor->AllGatherBytes(std::as_bytes(std::span(local))));
  rank::Fingerprints whole;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].size() != local.size() * sizeof(uint64_t)) {
      return Internal("fingerprints: rank {} of the tensor group sent {} bytes, {} were expected",
                      rank, all[rank].size(), local.size() * sizeof(uint64_t));
    }
    for (size_t i = 0; i < local.size(); ++i) {
      const parallel::Parameter& parameter = table.parameters[i];
      if (parameter.replicated() && rank > 0) continue;
      uint64_t part = 0;
      std::memcpy(&part, all[rank].data() + i * sizeof(part), sizeof(part));
      whole[parameter.name] += part;
    }
  }
  return whole;
}

}  // namespace muster::trainer::loop
