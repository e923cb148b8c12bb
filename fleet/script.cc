#include "fleet/script.h"

#include <optional>
#include <sstream>

#include "absl/time/time.h"
#include "common/status.h"

namespace muster::fleet {
namespace {

using Words = std::vector<std::string>;

std::optional<int64_t> Milliseconds(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration()) return {};
  return absl::ToInt64Milliseconds(duration);
}

std::optional<double> Number(const std::string& text) {
  try {
    size_t used = 0;
    const double value = std::stod(text, &used);
    if (used == text.size() && value >= 0) return value;
  } catch (const std::exception&) {
  }
  return {};
}

// "job=3" → 3.
std::optional<double> Named(const std::string& word, const std::string& name) {
  if (word.rfind(name + "=", 0) != 0) return {};
  return Number(word.substr(name.size() + 1));
}

bool ReadCount(std::string word, Rule& rule) {
  rule.percent = !word.empty() && word.back() == '%';
  if (rule.percent) word.pop_back();
  const auto count = Number(word);
  rule.count = count.value_or(0);
  return count.has_value();
}

bool ReadRank(const Words& words, Rule& rule) {
  if (words.size() != 3) return false;
  const auto job = Named(words[1], "job");
  const auto rank = Named(words[2], "rank");
  if (!job || !rank) return false;
  rule.job = static_cast<uint64_t>(*job);
  rule.rank = static_cast<uint32_t>(*rank);
  rule.what = words[0] == "kill-rank" ? Rule::What::kKillRank : Rule::What::kHangRank;
  return true;
}

// "fail 1% of workers silently", "fail 3 workers crashing", "slow 2% of workers by 300ms".
bool ReadWorkers(Words words, Rule& rule) {
  if (words.size() > 2 && words[2] == "of") words.erase(words.begin() + 2);
  if (words.size() < 4 || words[2].rfind("worker", 0) != 0) return false;
  if (!ReadCount(words[1], rule)) return false;
  if (words[0] == "slow" && words.size() == 5 && words[3] == "by") {
    const auto by = Milliseconds(words[4]);
    rule.by_ms = by.value_or(0);
    rule.what = Rule::What::kSlow;
    return by.has_value();
  }
  if (words[0] != "fail" || words.size() != 4) return false;
  if (words[3] == "silently")
    rule.what = Rule::What::kSilent;
  else if (words[3] == "disconnecting")
    rule.what = Rule::What::kDisconnect;
  else if (words[3] == "crashing")
    rule.what = Rule::What::kCrash;
  else
    return false;
  return true;
}

bool ReadWhat(const Words& words, Rule& rule) {
  const bool of_rank = words[0] == "kill-rank" || words[0] == "hang-rank";
  return of_rank ? ReadRank(words, rule) : ReadWorkers(words, rule);
}

Words Split(const std::string& line) {
  std::istringstream parts(line.substr(0, line.find('#')));
  Words words;
  for (std::string word; parts >> word;) words.push_back(word);
  return words;
}

bool ReadLine(const Words& words, Script& script) {
  if (words[0] == "step" && words.size() == 2) {
    script.step_ms = Milliseconds(words[1]).value_or(0);
    return script.step_ms > 0;
  }
  if (words[0] == "steps" && words.size() == 2) {
    const auto steps = Number(words[1]);
    script.steps = static_cast<uint64_t>(steps.value_or(0));
    return steps.has_value();
  }
  if (words[0] == "save" && words.size() == 4 && words[1] == "every") {
    const auto steps = Number(words[2]);
    script.save_steps = static_cast<uint64_t>(steps.value_or(0));
    return script.save_steps > 0;
  }
  if ((words[0] != "at" && words[0] != "every") || words.size() < 4) return false;
  const auto time = Milliseconds(words[1]);
  if (!time) return false;
  Rule rule;
  rule.at_ms = *time;
  if (words[0] == "every") rule.every_ms = *time;
  if (words[0] == "every" && *time == 0) return false;
  if (!ReadWhat(Words(words.begin() + 2, words.end()), rule)) return false;
  script.rules.push_back(rule);
  return true;
}

}  // namespace

absl::StatusOr<Script> ParseScript(const std::string& text) {
  Script script;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const Words words = Split(line);
    if (words.empty() || ReadLine(words, script)) continue;
    return InvalidArgument(
        "script line {}: \"{}\" is none of: step TIME, steps N, save every N steps, at|every TIME "
        "kill-rank|hang-rank job=J rank=R, at|every TIME fail N|P% [of] workers "
        "silently|disconnecting|crashing, at|every TIME slow N|P% [of] workers by TIME",
        number, line);
  }
  return script;
}

absl::StatusOr<Rule> ParseRule(const std::string& line) {
  const Words words = Split(line);
  Rule rule;
  if (!words.empty() && ReadWhat(words, rule)) return rule;
  return InvalidArgument(
      "\"{}\" is none of: kill-rank|hang-rank job=J rank=R, fail N|P% [of] workers "
      "silently|disconnecting|crashing, slow N|P% [of] workers by TIME",
      line);
}

}  // namespace muster::fleet
