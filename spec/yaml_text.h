// A JSON value as YAML text for people: block style, small flat maps on one line, text quoted only
// where it would read as something else. Reading it back gives the same value.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace muster::spec {

std::string YamlText(const nlohmann::ordered_json& value);

}  // namespace muster::spec
