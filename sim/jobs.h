// The jobs people submit, drawn from the kinds of the case.
#pragma once

#include <cstdint>
#include <string>

#include "muster/v1/job.pb.h"
#include "sim/case.h"
#include "sim/random.h"

namespace muster::sim {

struct JobDraw {
  v1::JobSpec spec;
  std::string user;
};

// The `number`th. `newest`: an id it may depend on; 0 = none. How long a step of it takes stands in
// train.seed (microseconds), and data.path "broken" makes every rank fail at its start, "bug 7" in
// step 7, "panic 7" takes the machine of rank 0 down there: the core looks at none of it.
JobDraw DrawJob(const Case& conf, Random& dice, uint64_t number, uint64_t newest);

}  // namespace muster::sim
