// A message as JSON for scripts: original field names in proto order, every field always there
// (unset messages are null; of a oneof only the set side), enums as short lower-case words,
// 64-bit numbers as numbers, bytes as hex.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

namespace muster::cli {

nlohmann::ordered_json MessageJson(const google::protobuf::Message& message);

// `indent` < 0: on one line. Bytes that are not UTF-8 are replaced.
std::string JsonText(const nlohmann::ordered_json& json, int indent);

}  // namespace muster::cli
