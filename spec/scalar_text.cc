#include "spec/scalar_text.h"

#include <charconv>
#include <cmath>

namespace muster::spec {
namespace {

bool IsPlainScalar(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar && !node.quoted;
}

template <typename Number>
std::optional<Number> Parse(const YamlNode& node) {
  if (!IsPlainScalar(node)) return std::nullopt;
  Number value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<uint64_t> WholeNumber(const YamlNode& node, uint64_t most) {
  const auto value = Parse<uint64_t>(node);
  return value && *value <= most ? value : std::nullopt;
}

std::optional<int32_t> SignedNumber(const YamlNode& node) { return Parse<int32_t>(node); }

std::optional<double> FiniteNumber(const YamlNode& node) {
  const auto value = Parse<double>(node);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<bool> TrueOrFalse(const YamlNode& node) {
  if (!IsPlainScalar(node) || (node.text != "true" && node.text != "false")) return std::nullopt;
  return node.text == "true";
}

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

bool IsText(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar && IsUtf8(node.text);
}

}  // namespace muster::spec
