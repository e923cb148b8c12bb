// Shell completion made from the command tree.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/command_line.h"

namespace muster::cli {

// Script for bash, zsh or fish. Errors: kInvalidArgument for another shell.
absl::StatusOr<std::string> CompletionScript(const Command& root, const std::string& shell);

}  // namespace muster::cli
