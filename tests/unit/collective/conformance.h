// What every Collective must do, run over each backend with 1 to 4 ranks.
//
// Each check is called by all ranks of the world and returns what went wrong, or "".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/collective/collective.h"

namespace muster::trainer::collective {

struct Check {
  const char* name;
  std::function<std::string(Collective&)> run;
};

const std::vector<Check>& ConformanceChecks();

}  // namespace muster::trainer::collective
