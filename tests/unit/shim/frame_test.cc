#include "worker/shim/frame.h"

#include <gtest/gtest.h>

#include "muster/v1/shim.pb.h"

namespace muster::worker::shim {
namespace {

TEST(FrameReader, CutsAnyStreamIntoItsMessages) {
  v1::ShimStop stop;
  stop.set_reason("why");
  std::string stream;
  AppendFrame(stop, &stream);
  AppendFrame(v1::ShimExit(), &stream);  // empty
  AppendFrame(stop, &stream);
  FrameReader reader;
  std::vector<std::string> bodies;
  for (char byte : stream) {
    reader.Add(&byte, 1);
    const absl::StatusOr<std::optional<std::string>> frame = reader.Next();
    ASSERT_TRUE(frame.ok());
    if (frame->has_value()) bodies.push_back(**frame);
  }
  ASSERT_EQ(bodies.size(), 3u);
  EXPECT_EQ(bodies[0], stop.SerializeAsString());
  EXPECT_EQ(bodies[1], "");
  EXPECT_EQ(bodies[2], stop.SerializeAsString());
}

TEST(FrameReader, RefusesAnImpossibleLength) {
  FrameReader reader;
  reader.Add("\xff\xff\xff\xff", 4);
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace muster::worker::shim
