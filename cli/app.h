// The program `muster`: all its commands put together.
#pragma once

#include "cli/command_line.h"
#include "cli/session.h"

namespace muster::cli {

// The whole command tree; `session` must outlive it.
Command MusterCommand(Session* session);

int RunCli(int argc, const char* const* argv);

}  // namespace muster::cli
