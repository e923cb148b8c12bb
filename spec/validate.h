// What a job must fulfil before anything is spent on it, as far as the spec alone can tell.
//
// Pure: reads no file. Whether the data exists is found out by the ranks; whether the cluster is
// large enough by the coordinator.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"
#include "spec/names.h"

namespace muster::spec {

struct Problem {
  std::string field;  // "train.model.heads": a key path of the job file
  std::string text;   // what is wrong and what to change, one line, without the field
};

// Every problem, in the order of the job file. Empty = valid.
std::vector<Problem> FindProblems(const v1::JobSpec& spec);

// OK, or kInvalidArgument with one line "field: what is wrong; what to change" per problem.
// Expects defaults filled in (ParseJobFile and FillUnset do).
absl::Status ValidateJobSpec(const v1::JobSpec& spec);

// OK, or kInvalidArgument naming the paths that are not absolute. For the coordinator: a relative
// path means something else on every node.
absl::Status RequireAbsolutePaths(const v1::JobSpec& spec);

// Puts `folder` (absolute) in front of every relative path of the job.
void MakePathsAbsolute(const std::string& folder, v1::JobSpec* spec);

}  // namespace muster::spec
