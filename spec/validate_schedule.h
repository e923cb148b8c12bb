// The rules of where a job may lie and when it may run.
#pragma once

#include <vector>

#include "spec/validate.h"

namespace muster::spec {

// Domains of the mesh axes. The axes' names and sizes are somebody else's.
//
// The ranks of one group along an axis are a run of consecutive ones, and the groups of an inner
// axis lie inside those of an outer one. So what an outer axis asks for holds for every axis inside
// it: an inner one may ask for a tighter domain, never for a wider one.
void FindDomainProblems(const v1::JobSpec& spec, std::vector<Problem>* problems);

// resources.device, placement.
void FindPlacementProblems(const v1::JobSpec& spec, std::vector<Problem>* problems);

// schedule, recovery's spares.
void FindScheduleProblems(const v1::JobSpec& spec, std::vector<Problem>* problems);

}  // namespace muster::spec
