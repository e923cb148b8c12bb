// Fingerprints of the weights themselves, taken before anything is copied or written.
//
// Checksums of files begin where a save begins. These begin at the floats the optimizer left, and
// are compared with the floats a later run has loaded, in whatever layout: what copies, devices and
// our own code do in between is all inside.
//
// Kept in a checkpoint's run state as `extra.fingerprints`: parameter → 16 hex digits.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rank/checkpoint/fingerprints.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/parallel/parameter_table.h"

namespace muster::trainer::loop {

// Of this rank's part of every parameter, in the table's order (checkpoint/fingerprint.h). Equal on
// all data-parallel replicas.
std::vector<uint64_t> LocalFingerprints(const parallel::ParameterTable& table,
                                        std::span<const float> params);

// Of every whole parameter. Collective over the tensor group; the same on all its ranks.
absl::StatusOr<rank::Fingerprints> WholeFingerprints(const parallel::ParameterTable& table,
                                                     const std::vector<uint64_t>& local,
                                                     const RankGroups& groups);

}  // namespace muster::trainer::loop
