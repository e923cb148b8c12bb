#include "spec/data_sizes.h"

#include <gtest/gtest.h>

#include "job_text.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

using Sizes = std::vector<uint32_t>;

v1::JobSpec Job(uint32_t size, uint32_t least, uint32_t global, uint32_t micro) {
  v1::JobSpec spec = ParseJobFile(kGoodJob, "good").value();
  v1::Axis& data = *spec.mutable_mesh(0);
  EXPECT_EQ(data.name(), "data");
  data.set_size(size);
  data.set_min(least);
  spec.mutable_train()->mutable_batch()->set_global(global);
  spec.mutable_train()->mutable_batch()->set_micro(micro);
  return spec;
}

TEST(DataSizes, AreThoseThatKeepTheBatch) {
  EXPECT_EQ(UsableDataSizes(Job(4, 0, 16, 4)), Sizes({4}));
  EXPECT_EQ(UsableDataSizes(Job(4, 4, 16, 4)), Sizes({4}));
  EXPECT_EQ(UsableDataSizes(Job(4, 1, 16, 4)), Sizes({4, 2, 1}));
  EXPECT_EQ(UsableDataSizes(Job(8, 2, 48, 2)), Sizes({8, 6, 4, 3, 2}));
  v1::JobSpec layout = Job(8, 1, 48, 2);
  layout.mutable_train()->set_reproducible(v1::REPRODUCIBLE_LAYOUT);
  EXPECT_EQ(UsableDataSizes(layout), Sizes({8, 6, 3, 1})) << "a power of two of micro-batches each";
  EXPECT_EQ(DataSizesText(layout), "data 8, after failures 6, 3, 1");
  EXPECT_EQ(DataSizesText(Job(4, 0, 16, 4)), "");
}

TEST(DataSizes, OfAProgramAreAll) {
  v1::JobSpec spec = Job(4, 2, 16, 4);
  spec.mutable_program()->add_command("true");
  EXPECT_EQ(UsableDataSizes(spec), Sizes({4, 3, 2}));
  spec.mutable_mesh(0)->set_name("pipeline");
  EXPECT_EQ(UsableDataSizes(spec), Sizes());
}

TEST(DataSizes, OnlyTheDataAxisChanges) {
  const v1::JobSpec spec = Job(4, 2, 16, 4);
  v1::JobSpec shorter = WithDataSize(spec, 2);
  EXPECT_EQ(shorter.mesh(0).size(), 2u);
  shorter.mutable_mesh(0)->set_size(4);
  EXPECT_EQ(shorter.SerializeAsString(), spec.SerializeAsString());
}

TEST(DataSizes, AWrongMinimumIsNamedWithWhatWouldDo) {
  const auto first = [](const v1::JobSpec& spec) {
    std::vector<Problem> problems;
    FindMinProblems(spec, &problems);
    return problems.empty() ? "" : problems[0].field + ": " + problems[0].text;
  };
  EXPECT_EQ(first(Job(4, 2, 16, 4)), "");
  EXPECT_EQ(first(Job(4, 5, 16, 4)), "mesh.data.min: 5 is more than the size 4; give 1 to 4");
  EXPECT_EQ(first(Job(4, 3, 16, 4)),
            "mesh.data.min: 3 data ranks cannot share train.batch.global 16 in micro-batches of 4; "
            "usable sizes: 4, 2, 1");
  v1::JobSpec layout = Job(8, 2, 48, 2);
  layout.mutable_train()->set_reproducible(v1::REPRODUCIBLE_LAYOUT);
  EXPECT_EQ(first(layout),
            "mesh.data.min: 2 data ranks cannot share train.batch.global 48 in a power of two of "
            "micro-batches of 2; usable sizes: 6, 3, 1");
  v1::JobSpec other = Job(4, 0, 16, 4);
  other.mutable_mesh(1)->set_min(1);
  EXPECT_EQ(first(other),
            "mesh." + other.mesh(1).name() + ".min: only the axis data gets shorter; remove it");
}

TEST(DataSizes, AHostileSizeCostsLittle) {
  EXPECT_LE(UsableDataSizes(Job(4'000'000'000u, 1, 16, 4)).size(), 4u);
}

TEST(DataSizes, StandInTheFileAndReadBack) {
  std::string text = kGoodJob;
  const size_t at = text.find("data: 2");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 7, "data: {size: 2, min: 1}");
  const auto spec = ParseJobFile(text, "good");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->mesh(0).min(), 1u);
  EXPECT_EQ(ParseJobFile(JobSpecToYaml(*spec), "again")->SerializeAsString(),
            spec->SerializeAsString());
}

}  // namespace
}  // namespace muster::spec
