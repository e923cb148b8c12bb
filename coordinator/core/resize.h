// Data axes that get shorter when a failure leaves no room, and longer again: which sizes, and
// when. What is placed is the scheduler's choice (pass.h, "shrink" and "grow").
//
// Pure: plain values in and out.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/scheduler/shape.h"
#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

struct Job;
struct Attempt;

// Longest first. Of very many usable sizes some in the middle are left out.
std::vector<scheduler::ShorterShape> ShorterShapesOf(const v1::JobSpec& spec);

// The mesh of the job with a data axis of that size.
google::protobuf::RepeatedPtrField<v1::Axis> MeshWithData(const v1::JobSpec& spec, uint32_t data);

// Of its data axis; 0 = it has none.
uint32_t DataSizeOf(const google::protobuf::RepeatedPtrField<v1::Axis>& mesh);
// What the attempt really runs with.
const google::protobuf::RepeatedPtrField<v1::Axis>& MeshOf(const Job& job, const Attempt& attempt);

struct GrowTimes {
  bool runs = false;  // every rank of a shortened attempt
  absl::Time started;
  bool committed = false;  // since it started
  absl::Time last_grown = absl::InfinitePast();
  absl::Duration grow_after;
};
// When it may be stopped to take more: once it has saved, or ran for `grow_after`; never again
// within `grow_after` of the last time. Infinite: not before something changes.
absl::Time GrowAt(const GrowTimes& times);
// The same of a job with a live attempt.
absl::Time GrowAt(const Job& job);

}  // namespace muster::coordinator::core
