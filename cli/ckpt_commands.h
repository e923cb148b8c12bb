// The commands below `muster ckpt`, one function per verb, and what they share.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "cli/command_line.h"
#include "cli/session.h"
#include "common/terminal.h"

namespace muster::cli {

Command CkptListCommand(Session* session);
Command CkptShowCommand(Session* session);
Command CkptVerifyCommand(Session* session);
Command CkptPinCommand(Session* session);
Command CkptUnpinCommand(Session* session);
Command CkptPruneCommand(Session* session);
Command CkptDiffCommand(Session* session);
Command CkptCopyCommand(Session* session);
Command CkptExportCommand(Session* session);
Command CkptImportCommand(Session* session);

// In the format the session asks for, JSON or YAML.
void PrintJson(const Session& session, const nlohmann::ordered_json& json);

// A bar on a terminal, redrawn at most some times a second.
class Bar {
 public:
  Bar() : line_(stderr) {}
  void Show(const std::string& what, uint64_t done, uint64_t total);
  void Clear() { line_.Clear(); }

 private:
  LiveLine line_;
  uint64_t shown_ = UINT64_MAX;  // thousandths
  std::string what_;
};

// A full disk is an error like others; the code of kResourceExhausted says "cannot be placed".
absl::Status OfDisk(const absl::Status& status);

// "s" but for one: "3 tensors", "1 tensor".
std::string Counted(uint64_t count, const std::string& noun);

}  // namespace muster::cli
