// Every example in configs/ is a complete, valid job.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "spec/yaml.h"

namespace muster::spec {
namespace {

TEST(Configs, EveryExampleParsesAndIsValid) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("configs")) {
    if (entry.path().extension() != ".yaml") continue;
    if (entry.path().filename() == "recovery-costs.yaml") continue;  // of muster-sim trace, no job
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    const auto spec = ParseAndValidateJobFile(text.str(), entry.path().string());
    EXPECT_TRUE(spec.ok()) << spec.status();
    EXPECT_NE(text.str().find("muster submit -f " + entry.path().string()), std::string::npos)
        << entry.path() << " must say how it is submitted";
    ++files;
  }
  EXPECT_GE(files, 8);
}

}  // namespace
}  // namespace muster::spec
