// YAML text as a plain tree that remembers lines, keeps the order of keys, and holds no surprises:
// no aliases, no merge keys, no tags, no second document, bounded size and depth.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::spec {

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  int line = 0;         // first line is 1
  std::string text;     // of a scalar
  bool quoted = false;  // "5" rather than 5
  std::vector<YamlNode> list;
  std::vector<Entry> map;  // in file order
};

struct YamlNode::Entry {
  std::string key;
  int line = 0;
  YamlNode value;
};

// What a person would call it: `the number 5`, `the text "abc"`, `a list`, `a map`, `nothing`.
std::string Describe(const YamlNode& node);

// Errors: kInvalidArgument, `file:line: ...`.
absl::StatusOr<YamlNode> ReadYaml(const std::string& text, const std::string& filename);

}  // namespace muster::spec
