#include "trainer/parallel/mesh.h"

#include <gtest/gtest.h>

#include <set>

namespace muster::trainer::parallel {
namespace {

TEST(Mesh, LastAxisMovesFastest) {
  const Mesh mesh = *Mesh::Parse("data=2,tensor=3");
  EXPECT_EQ(mesh.ranks(), 6);
  EXPECT_EQ(mesh.Coordinate(4, "data"), 1);
  EXPECT_EQ(mesh.Coordinate(4, "tensor"), 1);
  const Mesh turned = *Mesh::Parse("tensor=3,data=2");
  EXPECT_EQ(turned.Coordinate(4, "tensor"), 2);
  EXPECT_EQ(turned.Coordinate(4, "data"), 0);
  EXPECT_EQ(turned.ToString(), "tensor=3,data=2");
}

TEST(Mesh, AnAbsentAxisHasSizeOne) {
  const Mesh mesh = *Mesh::Parse("data=4");
  EXPECT_EQ(mesh.Size("tensor"), 1);
  EXPECT_EQ(mesh.Coordinate(3, "tensor"), 0);
  EXPECT_EQ(Mesh::Parse("")->ranks(), 1);
}

TEST(Mesh, GroupsHoldOneRankPerCoordinate) {
  for (const char* text : {"data=3,tensor=4", "tensor=4,data=3", "data=5", "tensor=2"}) {
    const Mesh mesh = *Mesh::Parse(text);
    for (const char* axis : {"data", "tensor"}) {
      std::set<int> colors;
      for (int rank = 0; rank < mesh.ranks(); ++rank) {
        colors.insert(mesh.GroupColor(rank, axis));
        int expected = 0;  // members stand in the order of their coordinate
        for (int other = 0; other < mesh.ranks(); ++other) {
          if (mesh.GroupColor(other, axis) != mesh.GroupColor(rank, axis)) continue;
          EXPECT_EQ(mesh.Coordinate(other, axis), expected++) << text << " " << axis;
        }
        EXPECT_EQ(expected, mesh.Size(axis)) << text << " " << axis;
      }
      EXPECT_EQ(static_cast<int>(colors.size()), mesh.ranks() / mesh.Size(axis));
    }
  }
}

TEST(Mesh, RefusesWhatItCannotRead) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"data", R"(parse mesh "data": "data" is not axis=size)"},
      {"data=0", R"(parse mesh "data=0": size "0" of axis data is not a number above 0)"},
      {"data=2x", R"(parse mesh "data=2x": size "2x" of axis data is not a number above 0)"},
      {"data=2,data=2", R"(parse mesh "data=2,data=2": axis data stands twice)"},
      {"pipe=2", R"(parse mesh "pipe=2": no axis "pipe"; there are data and tensor)"},
      {"data=1000,tensor=2000", R"(parse mesh "data=1000,tensor=2000": more than 1,000,000 ranks)"},
  };
  for (const auto& c : cases) {
    const auto mesh = Mesh::Parse(c.text);
    ASSERT_FALSE(mesh.ok()) << c.text;
    EXPECT_EQ(std::string(mesh.status().message()), c.message);
  }
}

}  // namespace
}  // namespace muster::trainer::parallel
