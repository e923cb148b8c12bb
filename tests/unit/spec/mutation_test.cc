// Damaged job files are refused or read, and never crash; what is read can be written and read.
#include <gtest/gtest.h>

#include <random>

#include "job_text.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

std::string Mutate(const std::string& text, std::mt19937* random) {
  static const char* const kPieces[] = {"{",    "}",  "[",     "]",     ":",   "\n", "  ",  "- ",
                                        "&a",   "*a", "\"",    "'",     "|",   ">",  "?",   "!",
                                        "%",    "#",  "\t",    "---\n", "...", "<<", "\\x", "\xff",
                                        "\xc3", "-1", "1e999", "~",     "@",   ","};
  const auto below = [random](size_t n) { return (*random)() % (n == 0 ? 1 : n); };
  std::string out = text;
  const size_t edits = 1 + below(6);
  for (size_t i = 0; i < edits; ++i) {
    const size_t at = below(out.size());
    switch (below(5)) {
      case 0:
        out.erase(at, 1 + below(20));
        break;
      case 1:
        out.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 2:
        if (!out.empty()) out[at] = static_cast<char>(below(256));
        break;
      case 3:
        out.insert(at, out.substr(below(out.size()), below(60)));
        break;
      default:
        out = out.substr(0, at);
        break;
    }
  }
  return out;
}

TEST(Mutations, NeverCrashAndKeepWhatIsRead) {
  int read = 0;
  for (uint32_t seed = 0; seed < 20'000; ++seed) {
    std::mt19937 random(seed);
    const auto spec =
        ParseAndValidateJobFile(Mutate(seed % 2 == 0 ? kGoodJob : kFullJob, &random), "f");
    if (!spec.ok()) {
      EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_FALSE(spec.status().message().empty());
      continue;
    }
    ++read;
    const auto again = ParseJobFile(JobSpecToYaml(*spec), "again");
    ASSERT_TRUE(again.ok()) << "seed " << seed << ": " << again.status();
    EXPECT_EQ(again->SerializeAsString(), spec->SerializeAsString()) << "seed " << seed;
  }
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace muster::spec
