// The repeated fields of a job: lists of words, and the maps and short forms people write instead.
#include <fmt/format.h>

#include "muster/v1/job.pb.h"
#include "spec/read_fields.h"
#include "spec/scalar_text.h"

namespace muster::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Join(const std::string& path, const std::string& key) { return path + "." + key; }

}  // namespace

void FieldReader::ReadRepeated(const YamlNode& node, const std::string& path,
                               const FieldDescriptor* field, Message* message) {
  if (field->message_type() == v1::Axis::descriptor()) {
    ReadMesh(node, path, field, message);
  } else if (field->message_type() == v1::EnvVar::descriptor()) {
    ReadEnv(node, path, field, message);
  } else if (field->message_type() == v1::Label::descriptor()) {
    ReadLabels(node, path, field, message);
  } else if (field->message_type() == v1::Dependency::descriptor()) {
    ReadDependencies(node, path, field, message);
  } else {
    ReadTexts(node, path, field, message);
  }
}

void FieldReader::ReadTexts(const YamlNode& node, const std::string& path,
                            const FieldDescriptor* field, Message* message) {
  if (node.kind != YamlNode::Kind::kList) {
    WantFound(node, path,
              field->containing_type() == v1::ProgramSpec::descriptor()
                  ? "a list such as [python3, train.py]"
                  : "a list such as [\"n[1-3]\", n7]");
    return;
  }
  for (size_t i = 0; i < node.list.size(); ++i) {
    const YamlNode& item = node.list[i];
    const std::string item_path = fmt::format("{}[{}]", path, i);
    lines_[item_path] = item.line;
    if (IsText(item)) {
      message->GetReflection()->AddString(message, field, item.text);
    } else {
      WantFound(item, item_path, "text (UTF-8)");
    }
  }
}

void FieldReader::ReadLabels(const YamlNode& node, const std::string& path,
                             const FieldDescriptor* field, Message* message) {
  if (node.kind != YamlNode::Kind::kMap) {
    WantFound(node, path, "a map of labels such as {zone: a}");
    return;
  }
  for (const YamlNode::Entry& entry : node.map) {
    const std::string label_path = Join(path, entry.key);
    lines_[label_path] = entry.line;
    if (!IsText(entry.value) || !IsUtf8(entry.key)) {
      WantFound(entry.value, label_path, "text (UTF-8)");
      continue;
    }
    auto* label = static_cast<v1::Label*>(message->GetReflection()->AddMessage(message, field));
    label->set_name(entry.key);
    label->set_value(entry.value.text);
  }
}

void FieldReader::ReadDependencies(const YamlNode& node, const std::string& path,
                                   const FieldDescriptor* field, Message* message) {
  if (node.kind != YamlNode::Kind::kList) {
    WantFound(node, path, "a list of jobs such as [prep, {job: 12, when: ended}]");
    return;
  }
  for (size_t i = 0; i < node.list.size(); ++i) {
    const YamlNode& item = node.list[i];
    const std::string item_path = fmt::format("{}[{}]", path, i);
    lines_[item_path] = item.line;
    auto* after =
        static_cast<v1::Dependency*>(message->GetReflection()->AddMessage(message, field));
    after->set_when(v1::AFTER_EVENT_SUCCEEDED);
    if (item.kind == YamlNode::Kind::kMap) {
      ReadMessage(item, item_path, {}, after);
    } else if (IsText(item)) {
      after->set_job(item.text);
    } else {
      WantFound(item, item_path, "a job's name or id, or {job: prep, when: ended}");
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
    if (!IsText(entry.value) || !IsUtf8(entry.key)) {
      WantFound(entry.value, Join(path, entry.key), "text (UTF-8; \"\" for an empty one)");
      continue;
    }
    auto* variable = static_cast<v1::EnvVar*>(message->GetReflection()->AddMessage(message, field));
    variable->set_name(entry.key);
    variable->set_value(entry.value.text);
  }
}

}  // namespace muster::spec
