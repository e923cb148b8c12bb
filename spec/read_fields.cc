#include "spec/read_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "muster/v1/job.pb.h"
#include "spec/enum_word.h"
#include "spec/nearest_name.h"

namespace muster::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

bool IsPlainScalar(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar && !node.quoted;
}

std::optional<uint64_t> WholeNumber(const YamlNode& node, uint64_t most) {
  if (!IsPlainScalar(node)) return std::nullopt;
  uint64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc() || stop != end || value > most) return std::nullopt;
  return value;
}

std::optional<double> Number(const YamlNode& node) {
  if (!IsPlainScalar(node)) return std::nullopt;
  double value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

// A message field that wants UTF-8 refuses anything else when it is sent.
bool IsUtf8(const std::string& text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t more = lead < 0x80   ? 0
                        : lead < 0xc2 ? 9
                        : lead < 0xe0 ? 1
                        : lead < 0xf0 ? 2
                        : lead < 0xf5 ? 3
                                      : 9;
    if (more == 9 || i + more >= text.size() + (more == 0 ? 1 : 0)) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    const auto next = more > 0 ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f) ||
        (lead == 0xf0 && next < 0x90) || (lead == 0xf4 && next > 0x8f)) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

}  // namespace

void FieldReader::AddProblem(int line, std::string text) {
  problems_.push_back({line, std::move(text)});
}

void FieldReader::WantFound(const YamlNode& node, const std::string& path,
                            const std::string& wanted) {
  AddProblem(node.line, fmt::format("{}: found {}, want {}", path, Describe(node), wanted));
}

void FieldReader::ReadMessage(const YamlNode& node, const std::string& path,
                              const std::vector<std::string>& skip, Message* message) {
  if (node.kind != YamlNode::Kind::kMap) {
    WantFound(node, path.empty() ? "the job file" : path, "a map of fields");
    return;
  }
  std::vector<std::string> known = skip;
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    known.push_back(message->GetDescriptor()->field(i)->name());
  }
  for (const YamlNode::Entry& entry : node.map) {
    if (std::find(skip.begin(), skip.end(), entry.key) != skip.end()) continue;
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(entry.key);
    if (field == nullptr) {
      const std::string nearest = NearestName(entry.key, known);
      AddProblem(entry.line,
                 fmt::format("unknown field \"{:.60}\" in {}; {}", entry.key,
                             path.empty() ? "the job" : path,
                             nearest.empty() ? fmt::format("known: {}", fmt::join(known, ", "))
                                             : fmt::format("did you mean \"{}\"?", nearest)));
      continue;
    }
    lines_[Join(path, entry.key)] = entry.line;
    ReadField(entry.value, Join(path, entry.key), field, message);
  }
}

void FieldReader::ReadField(const YamlNode& node, const std::string& path,
                            const FieldDescriptor* field, Message* message) {
  if (node.kind == YamlNode::Kind::kNull) {
    AddProblem(node.line, fmt::format("{} has no value; give one or remove the line", path));
    return;
  }
  if (field->is_repeated()) {
    ReadRepeated(node, path, field, message);
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    ReadMessage(node, path, {}, message->GetReflection()->MutableMessage(message, field));
  } else {
    ReadScalar(node, path, field, message);
  }
}

void FieldReader::ReadScalar(const YamlNode& node, const std::string& path,
                             const FieldDescriptor* field, Message* message) {
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      if (const auto value = WholeNumber(node, UINT32_MAX)) {
        reflection->SetUInt32(message, field, static_cast<uint32_t>(*value));
      } else {
        WantFound(node, path, "a whole number from 0 to 4294967295");
      }
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      if (const auto value = WholeNumber(node, UINT64_MAX)) {
        reflection->SetUInt64(message, field, *value);
      } else {
        WantFound(node, path, "a whole number, 0 or more");
      }
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (const auto value = Number(node)) {
        reflection->SetDouble(message, field, *value);
      } else {
        WantFound(node, path, "a number such as 0.1 or 1.0e-3");
      }
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (IsPlainScalar(node) && (node.text == "true" || node.text == "false")) {
        reflection->SetBool(message, field, node.text == "true");
      } else {
        WantFound(node, path, "true or false");
      }
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      if (node.kind == YamlNode::Kind::kScalar && IsUtf8(node.text)) {
        reflection->SetString(message, field, node.text);
      } else {
        WantFound(node, path, "text (UTF-8)");
      }
      return;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value = node.kind == YamlNode::Kind::kScalar
                              ? FindEnumWord(field->enum_type(), node.text)
                              : nullptr;
      if (value != nullptr) {
        reflection->SetEnum(message, field, value);
      } else {
        WantFound(node, path, fmt::format("{}", fmt::join(EnumWords(field->enum_type()), " or ")));
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      AddProblem(node.line, fmt::format("{} cannot be set in a job file", path));
      return;
  }
}

void FieldReader::ReadRepeated(const YamlNode& node, const std::string& path,
                               const FieldDescriptor* field, Message* message) {
  if (field->message_type() == v1::Axis::descriptor()) {
    ReadMesh(node, path, field, message);
  } else if (field->message_type() == v1::EnvVar::descriptor()) {
    ReadEnv(node, path, field, message);
  } else if (node.kind != YamlNode::Kind::kList) {
    WantFound(node, path, "a list such as [python3, train.py]");
  } else {
    for (size_t i = 0; i < node.list.size(); ++i) {
      const YamlNode& item = node.list[i];
      if (item.kind == YamlNode::Kind::kScalar && IsUtf8(item.text)) {
        message->GetReflection()->AddString(message, field, item.text);
      } else {
        WantFound(item, fmt::format("{}[{}]", path, i), "text (UTF-8)");
      }
    }
  }
}

void FieldReader::ReadMesh(const YamlNode& node, const std::string& path,
                           const FieldDescriptor* field, Message* message) {
  if (node.kind != YamlNode::Kind::kMap) {
    WantFound(node, path, "a map of axis sizes such as {data: 2, tensor: 2}");
    return;
  }
  for (const YamlNode::Entry& entry : node.map) {
    const std::string axis_path = Join(path, entry.key);
    lines_[axis_path] = entry.line;
    auto* axis = static_cast<v1::Axis*>(message->GetReflection()->AddMessage(message, field));
    if (IsUtf8(entry.key)) axis->set_name(entry.key);
    if (entry.value.kind == YamlNode::Kind::kMap) {
      ReadMessage(entry.value, axis_path, {}, axis);
      if (axis->name() != entry.key) {
        AddProblem(entry.line,
                   fmt::format("{}: \"name\" inside an axis; its key is its name", axis_path));
      }
    } else if (const auto size = WholeNumber(entry.value, UINT32_MAX)) {
      axis->set_size(static_cast<uint32_t>(*size));
    } else {
      WantFound(entry.value, axis_path, "a size, or {size: 2, within: node}");
    }
  }
}

void FieldReader::ReadEnv(const YamlNode& node, const std::string& path,
                          const FieldDescriptor* field, Message* message) {
  if (node.kind != YamlNode::Kind::kMap) {
    WantFound(node, path, "a map such as {OMP_NUM_THREADS: 4}");
    return;
  }
  for (const YamlNode::Entry& entry : node.map) {
    lines_[Join(path, entry.key)] = entry.line;
    if (entry.value.kind != YamlNode::Kind::kScalar || !IsUtf8(entry.value.text) ||
        !IsUtf8(entry.key)) {
      WantFound(entry.value, Join(path, entry.key), "text (UTF-8; \"\" for an empty one)");
      continue;
    }
    auto* variable = static_cast<v1::EnvVar*>(message->GetReflection()->AddMessage(message, field));
    variable->set_name(entry.key);
    variable->set_value(entry.value.text);
  }
}

}  // namespace muster::spec
