#include "spec/read_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "spec/enum_word.h"
#include "spec/exact_duration.h"
#include "spec/nearest_name.h"
#include "spec/scalar_text.h"

namespace muster::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
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
  } else if (field->message_type() == google::protobuf::Duration::descriptor()) {
    ReadDuration(node, path, field, message);
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
      if (const auto value = FiniteNumber(node)) {
        reflection->SetDouble(message, field, *value);
      } else {
        WantFound(node, path, "a number such as 0.1 or 1.0e-3");
      }
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (const auto value = TrueOrFalse(node)) {
        reflection->SetBool(message, field, *value);
      } else {
        WantFound(node, path, "true or false");
      }
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      if (IsText(node)) {
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
        const std::vector<std::string> words = EnumWords(field->enum_type());
        const std::string nearest =
            node.kind == YamlNode::Kind::kScalar ? NearestName(node.text, words) : "";
        WantFound(node, path,
                  fmt::format("{}{}", fmt::join(words, " or "),
                              nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?"));
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_INT32:
      if (const auto value = SignedNumber(node)) {
        reflection->SetInt32(message, field, *value);
      } else {
        WantFound(node, path, "a whole number such as 10 or -10");
      }
      return;
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      AddProblem(node.line, fmt::format("{} cannot be set in a job file", path));
      return;
  }
}

void FieldReader::ReadDuration(const YamlNode& node, const std::string& path,
                               const FieldDescriptor* field, Message* message) {
  if (node.kind != YamlNode::Kind::kScalar) return WantFound(node, path, "a duration such as 4h");
  const auto duration = ReadExactDuration(node.text);
  if (!duration.ok()) {
    AddProblem(node.line, fmt::format("{}: {}", path, std::string(duration.status().message())));
    return;
  }
  static_cast<google::protobuf::Duration*>(message->GetReflection()->MutableMessage(message, field))
      ->CopyFrom(*duration);
}

}  // namespace muster::spec
