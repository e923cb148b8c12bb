#include "checkpoint/strict_json.h"

#include <set>

#include "common/status.h"

namespace muster::checkpoint {
namespace {

int Depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

absl::StatusOr<const nlohmann::json*> Field(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return DataLoss("an object with \"{}\" was expected", key);
  const auto found = object.find(key);
  if (found == object.end()) return DataLoss("field \"{}\" is missing", key);
  return &*found;
}

absl::StatusOr<nlohmann::json> Parse(std::string_view text, std::string_view what,
                                     const nlohmann::json::parser_callback_t& see) {
  if (Depth(text) > kJsonDepthMax) {
    return DataLoss("{}: nested deeper than {}", what, kJsonDepthMax);
  }
  nlohmann::json value = nlohmann::json::parse(text, see, /*allow_exceptions=*/false);
  if (value.is_discarded()) return DataLoss("{}: not JSON", what);
  return value;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, std::string_view what) {
  return Parse(text, what, nullptr);
}

absl::StatusOr<nlohmann::json> ParseJsonFieldsOnce(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> open;  // the fields of the objects we are in
  std::string twice;
  auto see = [&](int, nlohmann::json::parse_event_t event, const nlohmann::json& value) {
    if (event == nlohmann::json::parse_event_t::object_start) open.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) open.pop_back();
    if (event == nlohmann::json::parse_event_t::key) {
      const auto [name, is_new] = open.back().insert(value.get<std::string>());
      if (!is_new) twice = *name;
    }
    return true;
  };
  absl::StatusOr<nlohmann::json> value = Parse(text, what, see);
  if (value.ok() && !twice.empty())
    return DataLoss("{}: the field \"{}\" is there twice", what, twice);
  return value;
}

absl::StatusOr<uint64_t> U64Field(const nlohmann::json& object, const char* key) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* field, Field(object, key));
  if (!field->is_number_unsigned()) return DataLoss("field \"{}\" is no whole number", key);
  return field->get<uint64_t>();
}

absl::StatusOr<std::string> TextField(const nlohmann::json& object, const char* key) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* field, Field(object, key));
  if (!field->is_string()) return DataLoss("field \"{}\" is no text", key);
  return field->get<std::string>();
}

absl::StatusOr<std::vector<uint64_t>> U64sField(const nlohmann::json& object, const char* key) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* field, ArrayField(object, key));
  std::vector<uint64_t> numbers;
  for (const nlohmann::json& item : *field) {
    if (!item.is_number_unsigned()) {
      return DataLoss("field \"{}\" holds something that is no whole number", key);
    }
    numbers.push_back(item.get<uint64_t>());
  }
  return numbers;
}

absl::StatusOr<const nlohmann::json*> ArrayField(const nlohmann::json& object, const char* key) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* field, Field(object, key));
  if (!field->is_array()) return DataLoss("field \"{}\" is no list", key);
  return field;
}

absl::StatusOr<const nlohmann::json*> ObjectField(const nlohmann::json& object, const char* key) {
  MUSTER_ASSIGN_OR_RETURN(const nlohmann::json* field, Field(object, key));
  if (!field->is_object()) return DataLoss("field \"{}\" is no object", key);
  return field;
}

std::string JsonText(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace muster::checkpoint
