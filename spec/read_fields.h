// Fills a message from a YAML map whose keys are the message's field names.
//
// Goes on after a problem, so that one run shows them all. Fields that the map does not name keep
// the value they have.
#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <string>
#include <vector>

#include "spec/yaml_tree.h"

namespace muster::spec {

struct FieldProblem {
  int line = 0;
  std::string text;
};

class FieldReader {
 public:
  // `path` is the key path of `node`: "" at the top, "train.model" below. Keys in `skip` belong to
  // somebody else.
  void ReadMessage(const YamlNode& node, const std::string& path,
                   const std::vector<std::string>& skip, google::protobuf::Message* message);

  const std::vector<FieldProblem>& problems() const { return problems_; }
  // Where each key path stands in the file.
  const std::map<std::string, int>& lines() const { return lines_; }
  void AddProblem(int line, std::string text);

 private:
  void ReadField(const YamlNode& node, const std::string& path,
                 const google::protobuf::FieldDescriptor* field,
                 google::protobuf::Message* message);
  void ReadScalar(const YamlNode& node, const std::string& path,
                  const google::protobuf::FieldDescriptor* field,
                  google::protobuf::Message* message);
  void ReadRepeated(const YamlNode& node, const std::string& path,
                    const google::protobuf::FieldDescriptor* field,
                    google::protobuf::Message* message);
  void ReadDuration(const YamlNode& node, const std::string& path,
                    const google::protobuf::FieldDescriptor* field,
                    google::protobuf::Message* message);
  void ReadTexts(const YamlNode& node, const std::string& path,
                 const google::protobuf::FieldDescriptor* field,
                 google::protobuf::Message* message);
  void ReadLabels(const YamlNode& node, const std::string& path,
                  const google::protobuf::FieldDescriptor* field,
                  google::protobuf::Message* message);
  void ReadDependencies(const YamlNode& node, const std::string& path,
                        const google::protobuf::FieldDescriptor* field,
                        google::protobuf::Message* message);
  void ReadMesh(const YamlNode& node, const std::string& path,
                const google::protobuf::FieldDescriptor* field, google::protobuf::Message* message);
  void ReadEnv(const YamlNode& node, const std::string& path,
               const google::protobuf::FieldDescriptor* field, google::protobuf::Message* message);
  void WantFound(const YamlNode& node, const std::string& path, const std::string& wanted);

  std::vector<FieldProblem> problems_;
  std::map<std::string, int> lines_;
};

}  // namespace muster::spec
