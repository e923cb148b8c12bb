// Fingerprints of whole tensors (checkpoint/fingerprint.h), taken from the live memory before a
// save and looked at again after a load: what a checksum cannot see, because it was wrong before.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rank/checkpoint/group.h"
#include "rank/checkpoint/section.h"

namespace muster::rank {

using Fingerprints = std::map<std::string, uint64_t>;  // by tensor

// Collective. `owned` of all ranks together are every tensor once. The same on every rank.
absl::StatusOr<Fingerprints> WholeFingerprints(const std::vector<Section>& owned, Group& group);

// The run state's `extra` with the fingerprints added.
std::string WithFingerprints(const std::string& extra_json, const Fingerprints& fingerprints);

// Errors: kDataLoss names tensors that are not what `extra_json` says. What has no fingerprint
// there passes.
absl::Status CheckFingerprints(const std::string& extra_json, const Fingerprints& loaded);

}  // namespace muster::rank
