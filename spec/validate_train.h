// The rules of the native trainer's part of a job.
#pragma once

#include <vector>

#include "spec/validate.h"

namespace muster::spec {

// Appends the problems of spec.train(); the mesh's own problems are somebody else's.
void FindTrainProblems(const v1::JobSpec& spec, std::vector<Problem>* problems);

}  // namespace muster::spec
