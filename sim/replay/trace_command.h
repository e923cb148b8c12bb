// muster-sim trace: options in, replays, tables out.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace muster::sim::replay {

// Adds the subcommand; the function runs it once it was parsed and returns the exit code.
std::function<int()> AddTraceCommand(CLI::App& app);

}  // namespace muster::sim::replay
