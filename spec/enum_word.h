// Enum values as the short words people read and write: JOB_STATE_RUNNING ↔ "running".
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <vector>

namespace muster::spec {

// The value's name without its enum's prefix, lower case; a number the enum does not know is
// written as that number.
std::string EnumWord(const google::protobuf::EnumDescriptor* type, int number);

template <typename Enum>
std::string EnumWord(Enum value) {
  return EnumWord(google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

// The value of that word; null if there is none. UNSPECIFIED has no word to write.
const google::protobuf::EnumValueDescriptor* FindEnumWord(
    const google::protobuf::EnumDescriptor* type, const std::string& word);

// All words but "unspecified", in order.
std::vector<std::string> EnumWords(const google::protobuf::EnumDescriptor* type);

}  // namespace muster::spec
