// The command line as plain data: a tree of commands with options, examples and a function to run.
// Parsing, --help and shell completion are all made from it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace muster::cli {

struct Option {
  // Where the value goes. The vector takes every remaining word.
  using Target = std::variant<bool*, std::string*, uint64_t*, double*, absl::Duration*,
                              std::vector<std::string>*>;
  std::string names;  // "-f,--file", or "JOB" for a positional
  Target target;
  std::string help;
  bool required = false;
  std::vector<std::string> choices = {};  // empty = anything
};

struct Command {
  std::string name;
  std::string summary;   // one line
  std::string examples;  // lines of "muster ..." with what they do; shown by --help
  std::vector<Option> options;
  std::vector<Command> children;
  // The exit code, or the error that gives it. None: the command only has children.
  std::function<absl::StatusOr<int>()> run;
};

// A command without options.
Command LeafCommand(std::string name, std::string summary, std::string examples,
                    std::function<absl::StatusOr<int>()> run);

// Parses and runs. Prints help, and errors as `muster: ...` on stderr. Returns the exit code.
int RunCommandLine(const Command& root, int argc, const char* const* argv);

// The --help text of the command at `path` ({} = the root, {"node", "drain"}).
std::string HelpText(const Command& root, const std::vector<std::string>& path);

}  // namespace muster::cli
