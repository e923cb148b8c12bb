#include "spec/yaml_text.h"

#include <algorithm>
#include <cctype>

namespace muster::spec {
namespace {

using Json = nlohmann::ordered_json;

std::string Quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool ReadsAsText(const std::string& text) {
  static const char* const kWords[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  if (text.empty() || (!std::isalpha(static_cast<unsigned char>(text[0])) && text[0] != '/')) {
    return false;
  }
  std::string lower;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!std::isalnum(byte) && std::string("_./+-").find(c) == std::string::npos) return false;
    lower += static_cast<char>(std::tolower(byte));
  }
  return std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords) &&
         lower != "nan" && lower != "inf" && lower != "infinity";
}

// "1d12h", "1.5s": begins like a number but is none to any reader.
bool ReadsAsDuration(const std::string& text) {
  bool digit = false;  // a number has begun and waits for its unit
  for (const char c : text) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (is_digit || (c == '.' && digit)) {
      digit = true;
    } else if (digit && std::string("dhms").find(c) != std::string::npos) {
      digit = false;
    } else {
      return false;
    }
  }
  return !text.empty() && !digit;
}

std::string Text(const std::string& text) {
  return ReadsAsText(text) || ReadsAsDuration(text) ? text : Quoted(text);
}

bool IsLeaf(const Json& value) { return !value.is_structured() || value.empty(); }

std::string Inline(const Json& value) {
  if (value.is_string()) return Text(value.get<std::string>());
  if (value.is_object()) {
    std::string line = "{";
    for (const auto& [key, item] : value.items()) {
      if (line.size() > 1) line += ", ";
      line += Text(key) + ": " + Inline(item);
    }
    return line + "}";
  }
  if (value.is_array()) {
    std::string line = "[";
    for (const Json& item : value) {
      if (line.size() > 1) line += ", ";
      line += Inline(item);
    }
    return line + "]";
  }
  return value.dump();
}

constexpr size_t kInlineMax = 72;

// On one line when nothing in it is nested (the mesh may be, one level) and it fits.
bool FitsInline(const Json& value) {
  if (IsLeaf(value)) return true;
  if (!std::all_of(value.begin(), value.end(), [](const Json& item) { return IsLeaf(item); })) {
    return false;
  }
  return Inline(value).size() <= kInlineMax;
}

void Block(const Json& value, size_t indent, std::string* out) {
  const std::string margin(indent, ' ');
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, item] : value.items()) {
      *out += margin + Text(key) + ":";
      if (FitsInline(item)) {
        *out += " " + Inline(item) + "\n";
      } else {
        *out += "\n";
        Block(item, indent + 2, out);
      }
    }
  } else if (value.is_array() && !value.empty()) {
    for (const Json& item : value) {
      if (FitsInline(item)) {
        *out += margin + "- " + Inline(item) + "\n";
        continue;
      }
      std::string nested;
      Block(item, indent + 2, &nested);
      nested[indent] = '-';  // "  key: …" → "- key: …": its first line carries the dash
      *out += nested;
    }
  } else {
    *out += margin + Inline(value) + "\n";
  }
}

}  // namespace

std::string YamlText(const Json& value) {
  std::string out;
  Block(value, 0, &out);
  return out;
}

}  // namespace muster::spec
