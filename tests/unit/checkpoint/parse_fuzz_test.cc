// Valid texts, changed in random ways: no parser falls over, none takes what no writer wrote.
//
// MUSTER_FUZZ_INPUTS=n gives each parser n inputs (25,000 in the normal run).
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/digest.h"
#include "checkpoint/safetensors.h"
#include "tests/unit/checkpoint/crash_history.h"

namespace muster::checkpoint {
namespace {

// Changes a text in one to four places.
class Mutator {
 public:
  Mutator(std::vector<std::string> texts, uint64_t seed)
      : texts_(std::move(texts)), random_(seed) {}

  std::string Next() {
    std::string text = texts_[random_() % texts_.size()];
    for (uint64_t n = 1 + random_() % 4; n > 0; --n) Change(text);
    return text;
  }

 private:
  size_t At(const std::string& text) { return random_() % (text.size() + 1); }
  std::string Part(const std::string& text) {
    const size_t begin = At(text);
    return text.substr(begin, random_() % (random_() % 2 ? 4 : 200));
  }

  void Change(std::string& text) {
    static constexpr const char* kTokens[] = {"0",
                                              "-1",
                                              "1",
                                              "18446744073709551615",
                                              "18446744073709551616",
                                              "9223372036854775808",
                                              "1e308",
                                              "1e999",
                                              "0.5",
                                              "null",
                                              "true",
                                              "\"",
                                              "\\",
                                              "\\u0000",
                                              "\\ud800",
                                              "{",
                                              "}",
                                              "[",
                                              "]",
                                              ",",
                                              ":",
                                              " ",
                                              "\n",
                                              "\t",
                                              "{}",
                                              "[]",
                                              "\"\"",
                                              "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                                              "../",
                                              "/",
                                              "@",
                                              "data/",
                                              ".safetensors",
                                              "\xff",
                                              "\xc3\xa9",
                                              "\"step\":",
                                              "\"format\":",
                                              "\"__metadata__\":{}",
                                              "ckpt/1",
                                              "F32",
                                              "U8",
                                              "//",
                                              "/*",
                                              "NaN"};
    const std::string token = kTokens[random_() % std::size(kTokens)];
    switch (random_() % 9) {
      case 0:
        if (!text.empty()) text[random_() % text.size()] ^= static_cast<char>(1 << random_() % 8);
        break;
      case 1:
        if (!text.empty()) text[random_() % text.size()] = static_cast<char>(random_());
        break;
      case 2:
        text.insert(At(text), token);
        break;
      case 3:
        text.erase(At(text), 1 + random_() % (random_() % 4 ? 4 : 100));
        break;
      case 4:
        text.insert(At(text), Part(text));
        break;
      case 5:
        text.insert(At(text), Part(texts_[random_() % texts_.size()]));
        break;
      case 6:
        text.resize(At(text));
        break;
      case 7:
        ChangeANumber(text, token);
        break;
      case 8:
        SwapTwoFields(text);
        break;
    }
  }

  void ChangeANumber(std::string& text, const std::string& token) {
    const size_t begin = text.find_first_of("0123456789", At(text));
    if (begin == std::string::npos) return;
    const size_t end = std::min(text.find_first_not_of("0123456789", begin), text.size());
    const uint64_t old = std::strtoull(text.c_str() + begin, nullptr, 10);
    const std::string numbers[] = {std::to_string(old + 1), std::to_string(old - 1),
                                   std::to_string(old * 2), "0" + std::to_string(old), token};
    text.replace(begin, end - begin, numbers[random_() % 5]);
  }

  void SwapTwoFields(std::string& text) {
    const size_t a = text.find(',', At(text));
    if (a == std::string::npos) return;
    const size_t b = text.find(',', a + 1);
    if (b == std::string::npos) return;
    const size_t c = std::min(text.find_first_of(",]}", b + 1), text.size());
    text = text.substr(0, a) + text.substr(b, c - b) + text.substr(a, b - a) + text.substr(c);
  }

  std::vector<std::string> texts_;
  std::mt19937_64 random_;
};

// What is wrong with the answer to a text; empty: nothing, `taken` says whether it was taken.
using Judge = std::function<std::string(const std::string& text, bool& taken)>;

void Fuzz(const char* name, const std::vector<std::string>& texts, const Judge& judge) {
  const char* wanted = std::getenv("MUSTER_FUZZ_INPUTS");
  const uint64_t inputs = wanted == nullptr ? 25'000 : std::strtoull(wanted, nullptr, 10);
  for (const std::string& text : texts) {
    bool taken = false;
    EXPECT_EQ(judge(text, taken), "") << name;
    EXPECT_TRUE(taken) << name << ": a valid text is refused: " << text;
  }
  const std::set<std::string> valid(texts.begin(), texts.end());
  uint64_t accepted = 0, failures = 0;
  Mutator mutator(texts, 1);
  for (uint64_t i = 0; i < inputs; ++i) {
    const std::string text = mutator.Next();
    bool taken = false;
    const std::string fault = judge(text, taken);
    if (taken && !valid.contains(text)) ++accepted;
    if (!fault.empty() && ++failures <= 3)
      ADD_FAILURE() << name << " " << i << ": " << fault << "\n" << text;
  }
  std::printf("  %-14s %8zu inputs, %5zu are other valid texts, %zu wrongly taken\n", name,
              static_cast<size_t>(inputs), static_cast<size_t>(accepted),
              static_cast<size_t>(failures));
}

// In some object; looked for by counting: a value that lost a field to its double is shorter.
bool HasAFieldTwice(const std::string& text) {
  size_t keys = 0;
  const auto count = [&](int, nlohmann::json::parse_event_t event, const nlohmann::json&) {
    keys += event == nlohmann::json::parse_event_t::key ? 1 : 0;
    return true;
  };
  const nlohmann::json value = nlohmann::json::parse(text, count, false);
  std::function<size_t(const nlohmann::json&)> fields = [&](const nlohmann::json& at) {
    size_t n = at.is_object() ? at.size() : 0;
    if (at.is_structured()) {
      for (const nlohmann::json& child : at) n += fields(child);
    }
    return n;
  };
  return fields(value) != keys;
}

class ParseFuzz : public testing::Test {
 protected:
  void SetUp() override {
    DiskFiles files;
    History history;
    for (uint64_t step : {7u, 1234u}) {
      ASSERT_TRUE(SaveStep(files, {step, step % 5}, 1 + step % 3, history).ok());
    }
    for (const std::string& path : files.disk().Files()) {
      const std::string& text = files.disk().Text(*files.disk().FindFile(path));
      if (path.ends_with("/manifest.json")) manifests_.push_back(text);
      if (path.ends_with("/COMMIT")) commits_.push_back(text);
      if (path.ends_with(".safetensors"))
        headers_.push_back(text.substr(0, ShardHeaderBytes(text)));
    }
    for (size_t writer = 0; writer < 3; ++writer) {
      const auto digest = WriteRank(files, {9, 1}, writer, 3);
      ASSERT_TRUE(digest.ok());
      digests_.push_back(SerializeDigest(*digest));
    }
  }
  std::vector<std::string> manifests_, commits_, headers_, digests_;
};

TEST_F(ParseFuzz, Manifest) {
  Fuzz("manifest", manifests_, [](const std::string& text, bool& taken) -> std::string {
    const absl::StatusOr<Manifest> manifest = ParseManifest(text);
    taken = manifest.ok();
    if (!taken) return absl::IsDataLoss(manifest.status()) ? "" : "another code than kDataLoss";
    if (ManifestText(*manifest) != text) return "not the text a writer writes";
    return manifest->sha256 == Sha256Hex(text) ? "" : "another SHA-256";
  });
}

TEST_F(ParseFuzz, Commit) {
  Fuzz("COMMIT", commits_, [](const std::string& text, bool& taken) -> std::string {
    const absl::StatusOr<CommitRecord> record = ParseCommit(text);
    taken = record.ok();
    if (!taken) return absl::IsDataLoss(record.status()) ? "" : "another code than kDataLoss";
    return CommitText(*record) == text ? "" : "not the text a writer writes";
  });
}

TEST_F(ParseFuzz, Digest) {
  Fuzz("shard digest", digests_, [](const std::string& text, bool& taken) -> std::string {
    const absl::StatusOr<ShardDigest> digest = ParseDigest(text);
    taken = digest.ok();
    if (!taken) return absl::IsDataLoss(digest.status()) ? "" : "another code than kDataLoss";
    return SerializeDigest(*digest) == text ? "" : "not the text a writer writes";
  });
}

// Other programs write headers too, so there is no one text; but slices tile the data, no name is
// there twice, and a header says of itself how long it is.
TEST_F(ParseFuzz, SafetensorsHeader) {
  Fuzz("safetensors", headers_, [](const std::string& text, bool& taken) -> std::string {
    const absl::StatusOr<ShardHeader> header = ParseSafetensorsHeader(text);
    taken = header.ok();
    if (!taken) return absl::IsDataLoss(header.status()) ? "" : "another code than kDataLoss";
    if (header->data_begin > text.size() || header->data_begin != ShardHeaderBytes(text)) {
      return "a length that is not its own";
    }
    uint64_t at = 0;
    std::set<std::string> names;
    for (const HeaderEntry& entry : header->entries) {
      if (entry.begin != at || entry.end < at) return "slices that do not tile the data";
      at = entry.end;
      if (!names.insert(entry.name).second) return "a slice twice";
    }
    if (at != header->data_bytes) return "another number of bytes";
    return HasAFieldTwice(text.substr(8, header->data_begin - 8)) ? "a field twice" : "";
  });
}

TEST_F(ParseFuzz, ResumeJson) {
  const std::string sha = Sha256Hex("a"), other = Sha256Hex("b");
  const std::vector<std::string> texts = {
      "[]", R"([{"attempt":3,"manifest_sha256":")" + sha + R"(","step":120}])",
      R"([{"attempt":3,"manifest_sha256":")" + sha + R"(","step":120},{"attempt":1,)" +
          R"("manifest_sha256":")" + other + R"(","step":100}])"};
  Fuzz("resume.json", texts, [](const std::string& text, bool& taken) -> std::string {
    const absl::StatusOr<std::vector<Permitted>> rows = ParsePermitted(text);
    taken = rows.ok();
    if (!taken) return absl::IsInvalidArgument(rows.status()) ? "" : "another code";
    if (HasAFieldTwice(text)) return "a field twice";
    for (const Permitted& row : *rows) {
      if (row.manifest_sha256.empty()) return "a row that takes any manifest";
    }
    return "";
  });
}

}  // namespace
}  // namespace muster::checkpoint
