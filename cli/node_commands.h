// The commands below `muster node` that have files of their own.
#pragma once

#include <vector>

#include "cli/commands.h"

namespace muster::cli {

// describe, quarantine, release, test.
std::vector<Command> QuarantineCommands(Session* session);

}  // namespace muster::cli
