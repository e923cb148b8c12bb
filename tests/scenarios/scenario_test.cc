// Runs every tests/scenarios/*.txt: commands above a rule of dashes, the core's answer below,
// blocks parted by an empty line. `scenario_test --rewrite` writes the answers anew; commit only a
// difference you can explain.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/scenarios/script.h"

namespace muster::scenarios {
namespace {

bool rewrite = false;

std::vector<std::string> Files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("tests/scenarios")) {
    const bool scenario =
        entry.path().extension() == ".txt" && entry.path().filename() != "CMakeLists.txt";
    if (scenario) names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Block {
  std::string commands;  // with comments, as written
  std::string expected;
};

std::vector<Block> ParseFile(const std::string& path) {
  std::ifstream file(path);
  std::vector<Block> blocks;
  bool below = false, open = false;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) {
      open = below = false;
      continue;
    }
    if (!open) blocks.emplace_back();
    open = true;
    if (line == "----") {
      below = true;
    } else {
      (below ? blocks.back().expected : blocks.back().commands) += line + "\n";
    }
  }
  return blocks;
}

class ScenarioTest : public testing::TestWithParam<std::string> {};

TEST_P(ScenarioTest, DecidesAsWritten) {
  const std::string path = "tests/scenarios/" + GetParam() + ".txt";
  Script script;
  std::string rewritten;
  const std::vector<Block> blocks = ParseFile(path);
  ASSERT_FALSE(blocks.empty()) << path << " holds no scenario";
  for (const Block& block : blocks) {
    std::string actual;
    std::istringstream commands(block.commands);
    for (std::string line; std::getline(commands, line);) {
      if (line[0] == '#') continue;
      actual += script.Run(line);
      ASSERT_EQ(script.ReplayDifference(), "") << path << ": after: " << line;
    }
    if (!rewrite) {
      EXPECT_EQ(actual, block.expected) << path << ":\n" << block.commands;
    }
    if (!rewritten.empty()) rewritten += "\n";
    rewritten += block.commands + "----\n" + actual;
  }
  if (rewrite) std::ofstream(path) << rewritten;
}

INSTANTIATE_TEST_SUITE_P(All, ScenarioTest, testing::ValuesIn(Files()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace muster::scenarios

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--rewrite") muster::scenarios::rewrite = true;
  }
  return RUN_ALL_TESTS();
}
