#include "spec/names.h"

#include "common/status.h"

namespace muster::spec {
namespace {

constexpr size_t kLabelNameMax = 63;
constexpr size_t kLabelValueMax = 255;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetterOrDigit(char c) { return IsLower(c) || IsDigit(c) || (c >= 'A' && c <= 'Z'); }

absl::Status CheckHostLikeName(const std::string& name, const char* what, const char* example) {
  bool good =
      !name.empty() && name.size() <= kJobNameMax && IsLower(name.front()) && name.back() != '-';
  for (const char c : name) good = good && (IsLower(c) || IsDigit(c) || c == '-');
  if (good) return absl::OkStatus();
  if (name.empty()) {
    return InvalidArgument("missing; give the {} a name such as {}", what, example);
  }
  return InvalidArgument(
      "\"{:.70}\" is not a {} name; use a-z 0-9 -, a letter first, no - last, "
      "at most {} characters",
      name, what, kJobNameMax);
}

absl::Status CheckWord(const std::string& word, const char* what) {
  bool good = !word.empty() && word.size() <= kLabelNameMax && IsLetterOrDigit(word.front());
  for (const char c : word) {
    good = good && (IsLetterOrDigit(c) || c == '.' || c == '_' || c == '/' || c == '-');
  }
  if (good) return absl::OkStatus();
  return InvalidArgument(
      "\"{:.70}\" is not a {}; use A-Z a-z 0-9 . _ / -, a letter or digit first, at most {} "
      "characters",
      word, what, kLabelNameMax);
}

}  // namespace

absl::Status CheckJobName(const std::string& name) {
  return CheckHostLikeName(name, "job", "gpt-stdlib");
}

absl::Status CheckQueueName(const std::string& name) {
  return CheckHostLikeName(name, "queue", "research");
}

absl::Status CheckLabelName(const std::string& name) { return CheckWord(name, "label name"); }

absl::Status CheckTaint(const std::string& taint) { return CheckWord(taint, "taint"); }

absl::Status CheckLabelValue(const std::string& value) {
  if (value.size() <= kLabelValueMax && !HasControlCharacter(value)) return absl::OkStatus();
  return InvalidArgument(
      "\"{:.40}\" is not a label value; use at most {} bytes without control characters", value,
      kLabelValueMax);
}

bool HasControlCharacter(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

}  // namespace muster::spec
