#include <nlohmann/json.hpp>

#include "common/check.h"
#include "spec/enum_word.h"
#include "spec/exact_duration.h"
#include "spec/yaml.h"
#include "spec/yaml_text.h"

namespace muster::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Json = nlohmann::ordered_json;

Json MeshDocument(const v1::JobSpec& spec) {
  Json mesh = Json::object();
  for (const v1::Axis& axis : spec.mesh()) {
    if (axis.within() == v1::DOMAIN_UNSPECIFIED && axis.min() == 0) {
      mesh[axis.name()] = axis.size();
      continue;
    }
    Json& written = mesh[axis.name()] = {{"size", axis.size()}};
    if (axis.within() != v1::DOMAIN_UNSPECIFIED) written["within"] = EnumWord(axis.within());
    if (axis.min() != 0) written["min"] = axis.min();
  }
  return mesh;
}

Json EnvDocument(const v1::ProgramSpec& program) {
  Json env = Json::object();
  for (const v1::EnvVar& variable : program.env()) env[variable.name()] = variable.value();
  return env;
}

Json LabelsDocument(const v1::PlacementSpec& placement) {
  Json labels = Json::object();
  for (const v1::Label& label : placement.select()) labels[label.name()] = label.value();
  return labels;
}

// What succeeded is the usual thing to wait for, and said by the name alone.
Json AfterDocument(const v1::ScheduleSpec& schedule) {
  Json after = Json::array();
  for (const v1::Dependency& dependency : schedule.after()) {
    if (dependency.when() <= v1::AFTER_EVENT_SUCCEEDED) {
      after.push_back(dependency.job());
    } else {
      after.push_back({{"job", dependency.job()}, {"when", EnumWord(dependency.when())}});
    }
  }
  return after;
}

Json MessageDocument(const Message& message);

Json ScalarDocument(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection->GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection->GetUInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumWord(field->enum_type(), reflection->GetEnumValue(message, field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (field->message_type() == google::protobuf::Duration::descriptor()) {
        return ExactDurationText(
            static_cast<const google::protobuf::Duration&>(reflection->GetMessage(message, field)));
      }
      return MessageDocument(reflection->GetMessage(message, field));
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
      break;
  }
  CHECK(false, "field {} has a type that job files do not know", field->full_name());
  return nullptr;
}

Json MessageDocument(const Message& message) {
  Json document = Json::object();
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->message_type() == v1::Axis::descriptor()) {
      document[field->name()] = MeshDocument(static_cast<const v1::JobSpec&>(message));
    } else if (field->message_type() == v1::EnvVar::descriptor()) {
      document[field->name()] = EnvDocument(static_cast<const v1::ProgramSpec&>(message));
    } else if (field->message_type() == v1::Label::descriptor()) {
      document[field->name()] = LabelsDocument(static_cast<const v1::PlacementSpec&>(message));
    } else if (field->message_type() == v1::Dependency::descriptor()) {
      document[field->name()] = AfterDocument(static_cast<const v1::ScheduleSpec&>(message));
    } else if (field->is_repeated()) {
      Json list = Json::array();
      for (int k = 0; k < message.GetReflection()->FieldSize(message, field); ++k) {
        list.push_back(message.GetReflection()->GetRepeatedString(message, field, k));
      }
      document[field->name()] = list;
    } else if ((field->has_presence() && !message.GetReflection()->HasField(message, field)) ||
               (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
                message.GetReflection()->GetEnumValue(message, field) == 0)) {
      continue;  // not said, or the other side of the oneof
    } else {
      document[field->name()] = ScalarDocument(message, field);
    }
  }
  return document;
}

Json JobDocument(const v1::JobSpec& spec) {
  Json document = {{"apiVersion", "muster/v1"}, {"kind", "TrainJob"}};
  document.update(MessageDocument(spec));
  return document;
}

}  // namespace

std::string JobSpecToYaml(const v1::JobSpec& spec) { return YamlText(JobDocument(spec)); }

std::string JobSpecToJson(const v1::JobSpec& spec) {
  return JobDocument(spec).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace muster::spec
