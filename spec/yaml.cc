#include "spec/yaml.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/status.h"
#include "spec/defaults.h"
#include "spec/read_fields.h"
#include "spec/validate.h"
#include "spec/yaml_tree.h"

namespace muster::spec {
namespace {

constexpr char kApiVersion[] = "muster/v1";
constexpr char kKind[] = "TrainJob";

const YamlNode::Entry* FindKey(const YamlNode& map, const std::string& key) {
  for (const YamlNode::Entry& entry : map.map) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

void CheckHeader(const YamlNode& root, const std::string& key, const std::string& wanted,
                 FieldReader* reader) {
  const YamlNode::Entry* entry = FindKey(root, key);
  if (entry == nullptr) {
    reader->AddProblem(root.line, fmt::format("no {}; add the line \"{}: {}\"", key, key, wanted));
  } else if (entry->value.text != wanted) {
    reader->AddProblem(entry->line,
                       fmt::format("{}: found {}, want {}", key, Describe(entry->value), wanted));
  }
}

absl::Status AllProblems(const std::string& filename, std::vector<FieldProblem> problems) {
  std::stable_sort(problems.begin(), problems.end(),
                   [](const FieldProblem& a, const FieldProblem& b) { return a.line < b.line; });
  std::string lines;
  for (const FieldProblem& problem : problems) {
    if (!lines.empty()) lines += "\n";
    lines += fmt::format("{}:{}: {}", filename, problem.line, problem.text);
  }
  return absl::InvalidArgumentError(lines);
}

// The line of the key itself, or of the nearest key around it.
int LineOf(const FieldReader& reader, std::string field) {
  while (!field.empty()) {
    if (const auto found = reader.lines().find(field); found != reader.lines().end()) {
      return found->second;
    }
    const size_t dot = field.rfind('.');
    field = dot == std::string::npos ? "" : field.substr(0, dot);
  }
  return 1;
}

absl::StatusOr<v1::JobSpec> Parse(const std::string& text, const std::string& filename,
                                  FieldReader* reader) {
  MUSTER_ASSIGN_OR_RETURN(const YamlNode root, ReadYaml(text, filename));
  if (root.kind != YamlNode::Kind::kMap) {
    return InvalidArgument("{}:{}: found {}, want a job (apiVersion, kind, name, mesh, train, ...)",
                           filename, std::max(1, root.line), Describe(root));
  }
  CheckHeader(root, "apiVersion", kApiVersion, reader);
  CheckHeader(root, "kind", kKind, reader);
  const YamlNode::Entry* train = FindKey(root, "train");
  const YamlNode::Entry* program = FindKey(root, "program");
  v1::JobSpec spec =
      program != nullptr && train == nullptr ? DefaultProgramJob() : DefaultTrainJob();
  if (train != nullptr && program != nullptr) {
    reader->AddProblem(std::max(train->line, program->line),
                       "both train and program; a job is one or the other, remove one");
    return AllProblems(filename, reader->problems());
  }
  if (train == nullptr && program == nullptr) {
    reader->AddProblem(root.line, "neither train nor program; say what the job runs");
  }
  spec.mutable_checkpoint()->clear_ram_replicas();  // follows from the rest when it is not said
  reader->ReadMessage(root, "", {"apiVersion", "kind"}, &spec);
  if (!reader->problems().empty()) return AllProblems(filename, reader->problems());
  FillDerived(&spec);
  return spec;
}

}  // namespace

absl::StatusOr<v1::JobSpec> ParseJobFile(const std::string& text, const std::string& filename) {
  FieldReader reader;
  return Parse(text, filename, &reader);
}

absl::StatusOr<v1::JobSpec> ParseAndValidateJobFile(const std::string& text,
                                                    const std::string& filename) {
  FieldReader reader;
  MUSTER_ASSIGN_OR_RETURN(v1::JobSpec spec, Parse(text, filename, &reader));
  std::vector<FieldProblem> problems;
  for (const Problem& problem : FindProblems(spec)) {
    problems.push_back({LineOf(reader, problem.field), problem.field + ": " + problem.text});
  }
  if (!problems.empty()) return AllProblems(filename, std::move(problems));
  return spec;
}

}  // namespace muster::spec
