// Scalars of a YAML tree as values: strict, so that a quoted 5 or a broken byte is found early.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "spec/yaml_tree.h"

namespace muster::spec {

std::optional<uint64_t> WholeNumber(const YamlNode& node, uint64_t most);
std::optional<int32_t> SignedNumber(const YamlNode& node);
std::optional<double> FiniteNumber(const YamlNode& node);
std::optional<bool> TrueOrFalse(const YamlNode& node);

// A message field that wants UTF-8 refuses anything else when it is sent.
bool IsUtf8(const std::string& text);

// A scalar, quoted or not, in UTF-8.
bool IsText(const YamlNode& node);

}  // namespace muster::spec
