#include "cli/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/proto_json.h"
#include "common/status.h"
#include "spec/validate.h"
#include "spec/yaml.h"
#include "spec/yaml_text.h"

namespace muster::cli {

OutputFormat Session::format() const {
  if (output == "wide") return OutputFormat::kWide;
  if (output == "json") return OutputFormat::kJson;
  if (output == "yaml") return OutputFormat::kYaml;
  return OutputFormat::kTable;
}

bool Session::machine_readable() const {
  return format() == OutputFormat::kJson || format() == OutputFormat::kYaml;
}

Client& Session::client() {
  if (client_ == nullptr) {
    client_ = std::make_unique<Client>([this] { return FindCoordinator(hints); }, deadline);
  }
  return *client_;
}

void PrintMessage(const Session& session, const google::protobuf::Message& message) {
  if (session.format() == OutputFormat::kYaml) {
    fmt::print("{}", spec::YamlText(MessageJson(message)));
  } else {
    fmt::print("{}\n", JsonText(MessageJson(message), 2));
  }
}

absl::Status During(const std::string& what, const absl::Status& status) {
  if (status.ok() || std::string(status.message()).rfind(what, 0) == 0) return status;
  return Annotate(status, what);
}

std::string ProgramBeside(const Session& session, const std::string& name) {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) self = session.program;
  const std::filesystem::path beside = self.parent_path() / name;
  return std::filesystem::exists(beside, error) ? beside.string() : name;
}

absl::Status Become(const Session& session, const std::string& name,
                    const std::vector<std::string>& arguments) {
  const std::string program = ProgramBeside(session, name);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  argv.reserve(arguments.size() + 2);
  for (const std::string& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::fflush(stdout);
  execvp(argv[0], argv.data());
  return ErrnoError(errno, fmt::format("start {} (it belongs beside this program)", program));
}

bool IsTerminal(FILE* file) { return isatty(fileno(file)) == 1; }

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return InvalidArgument("{}: is a folder, want a file", path);
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoError(errno, "open " + path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

absl::StatusOr<v1::JobSpec> ReadJobFile(const std::string& path) {
  std::string text;
  if (path == "-") {
    std::stringstream all;
    all << std::cin.rdbuf();
    text = all.str();
  } else {
    MUSTER_ASSIGN_OR_RETURN(text, ReadTextFile(path));
  }
  MUSTER_ASSIGN_OR_RETURN(v1::JobSpec spec,
                          spec::ParseAndValidateJobFile(text, path == "-" ? "stdin" : path));
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  if (error) return Internal("current folder: {}; change to one that exists", error.message());
  spec::MakePathsAbsolute(here.string(), &spec);
  return spec;
}

}  // namespace muster::cli
