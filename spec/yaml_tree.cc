#include "spec/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "common/status.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

constexpr size_t kDepthMax = 16;
constexpr size_t kNodesMax = 20'000;

// Builds the tree. Refuses by throwing the library's own exception: the only way to stop its
// parser.
class TreeBuilder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    YamlNode node;
    node.line = mark.line + 1;
    Place(mark, std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw YAML::ParserException(mark, "an alias (*name); write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    if (tag != "?" && tag != "!") RefuseTag(mark, tag);
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.line = mark.line + 1;
    node.text = value;
    node.quoted = tag == "!";
    Place(mark, std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

  YamlNode TakeRoot() { return std::move(root_); }

 private:
  struct OpenNode {
    YamlNode node;
    bool has_key = false;  // of a map: a key waits for its value
    YamlNode key;
  };

  static void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) throw YAML::ParserException(mark, "an anchor (&name); write the value out");
  }

  static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    throw YAML::ParserException(mark, fmt::format("the tag {:.40}; leave it out", tag));
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    RefuseAnchor(mark, anchor);
    if (!tag.empty() && tag != "?") RefuseTag(mark, tag);
    if (open_.size() >= kDepthMax) {
      throw YAML::ParserException(
          mark, fmt::format("nesting deeper than {} levels; a job file needs 4", kDepthMax));
    }
    OpenNode open;
    open.node.kind = kind;
    open.node.line = mark.line + 1;
    open_.push_back(std::move(open));
  }

  void Close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    YAML::Mark mark;
    mark.line = done.line - 1;
    Place(mark, std::move(done));
  }

  void Place(const YAML::Mark& mark, YamlNode node) {
    if (++nodes_ > kNodesMax) {
      throw YAML::ParserException(mark, fmt::format("more than {} values", kNodesMax));
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.list.push_back(std::move(node));
    } else if (!parent.has_key) {
      RefuseKey(mark, parent.node, node);
      parent.key = std::move(node);
      parent.has_key = true;
    } else {
      // The library places a missing value where it noticed, on the next line.
      if (node.kind == YamlNode::Kind::kNull) node.line = parent.key.line;
      parent.node.map.push_back({parent.key.text, parent.key.line, std::move(node)});
      parent.has_key = false;
    }
  }

  static void RefuseKey(const YAML::Mark& mark, const YamlNode& map, const YamlNode& key) {
    if (key.kind != YamlNode::Kind::kScalar) {
      throw YAML::ParserException(mark, fmt::format("{} as a key; a key is a word", Describe(key)));
    }
    if (key.text == "<<") throw YAML::ParserException(mark, "a merge key (<<); write the keys out");
    for (const YamlNode::Entry& other : map.map) {
      if (other.key == key.text) {
        throw YAML::ParserException(mark, fmt::format("key \"{:.60}\" again (first in line {}); "
                                                      "keep one of the two",
                                                      key.text, other.line));
      }
    }
  }

  YamlNode root_;
  std::vector<OpenNode> open_;
  size_t nodes_ = 0;
};

bool LooksLikeNumber(const std::string& text) {
  if (text.empty()) return false;
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size();
}

}  // namespace

std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
    case YamlNode::Kind::kScalar:
      break;
  }
  if (node.quoted) return fmt::format("the text \"{:.60}\"", node.text);
  if (node.text == "true" || node.text == "false") return node.text;
  if (LooksLikeNumber(node.text)) return fmt::format("the number {:.60}", node.text);
  return fmt::format("the text \"{:.60}\"", node.text);
}

absl::StatusOr<YamlNode> ReadYaml(const std::string& text, const std::string& filename) {
  if (text.size() > kJobFileBytesMax) {
    return InvalidArgument("{}: {} bytes; a job file is at most {}", filename, text.size(),
                           kJobFileBytesMax);
  }
  if (text.find('\0') != std::string::npos) {
    return InvalidArgument("{}: holds zero bytes; a job file is text", filename);
  }
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) {
      return InvalidArgument("{}: empty; see configs/gpt-stdlib.yaml for a complete job", filename);
    }
    YamlNode root = builder.TakeRoot();
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return InvalidArgument("{}:{}: a second document; one file holds one job", filename,
                             std::max(1, second.TakeRoot().line));
    }
    return root;
  } catch (const YAML::Exception& error) {
    return InvalidArgument("{}:{}: {}", filename, error.mark.line + 1, error.msg);
  } catch (const std::exception& error) {
    return InvalidArgument("{}: not YAML: {}", filename, error.what());
  }
}

}  // namespace muster::spec
