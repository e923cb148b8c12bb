// What every command shares: the global options and the way to the coordinator.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/client.h"
#include "cli/find_coordinator.h"

namespace muster::cli {

enum class OutputFormat { kTable, kWide, kJson, kYaml };

struct Session {
  CoordinatorHints hints;
  std::string output = "table";
  absl::Duration deadline = absl::Seconds(10);
  std::string program;  // argv[0], to find the other programs

  OutputFormat format() const;
  bool machine_readable() const;  // json or yaml
  Client& client();               // made at first use

 private:
  std::unique_ptr<Client> client_;
};

// Prints the message as JSON or YAML.
void PrintMessage(const Session& session, const google::protobuf::Message& message);

// `what: message`, unless the message says so itself.
absl::Status During(const std::string& what, const absl::Status& status);

// `name` beside the running program, else found by PATH.
std::string ProgramBeside(const Session& session, const std::string& name);

// Turns this process into that program with these arguments; returns only if it cannot be started.
absl::Status Become(const Session& session, const std::string& name,
                    const std::vector<std::string>& arguments);

bool IsTerminal(FILE* file);

// The whole file. Errors: kNotFound, kInvalidArgument for a folder, each with the path.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// Reads, checks and fills in a job file, with its paths made absolute against the current folder.
// "-" reads standard input.
absl::StatusOr<v1::JobSpec> ReadJobFile(const std::string& path);

}  // namespace muster::cli
