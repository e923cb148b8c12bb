#include "checkpoint/box.h"

#include <gtest/gtest.h>

#include <random>

#include "checkpoint/digest.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

TEST(Digest, KnownAnswers) {
  const std::string nine = "123456789";
  EXPECT_EQ(Crc32c(0, std::as_bytes(std::span(nine))), 0xe3069283u);
  const auto bytes = std::as_bytes(std::span(nine));
  EXPECT_EQ(Crc32c(Crc32c(0, bytes.first(4)), bytes.subspan(4)), 0xe3069283u);
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, ChunksEndEvery16MiB) {
  Bytes bytes(kChunkBytes * 2 + 5, std::byte{7});
  ChunkCrc crc;
  crc.Add(std::span(bytes).first(3));
  crc.Add(std::span(bytes).subspan(3));
  const std::span<const std::byte> all(bytes);
  EXPECT_EQ(crc.Finish(),
            (std::vector<uint32_t>{Crc32c(0, all.first(kChunkBytes)),
                                   Crc32c(0, all.first(kChunkBytes)), Crc32c(0, all.last(5))}));
}

TEST(Box, FlatRangeOfAMatrixIsAtMostThreeBoxesThatAreItsBytesInOrder) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 500; ++round) {
    const Box box = WholeTensor("w", DType::kU8, {1 + random() % 9, 1 + random() % 9});
    const uint64_t n = ElementCount(box), begin = random() % (n + 1);
    const uint64_t end = begin + random() % (n - begin + 1);
    Bytes bytes(n);
    for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i);
    const std::vector<Box> parts = FlatRange(box, begin, end);
    EXPECT_LE(parts.size(), 3u);
    uint64_t at = begin;
    for (const Box& part : parts) {
      ASSERT_TRUE(ValidateBox(part).ok()) << BoxText(part);
      Bytes cut(ByteCount(part));
      EXPECT_EQ(CopyIntersection(box, bytes, part, cut), cut.size());
      for (std::byte byte : cut) EXPECT_EQ(byte, bytes[at++]);
    }
    EXPECT_EQ(at, end);
  }
}

TEST(Box, CopyOntoItselfIsOneRun) {
  const Box box = WholeTensor("w", DType::kF32, {5, 6, 7});
  const auto runs = CopyRuns(box, box);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].bytes, ByteCount(box));
  const Box scalar = WholeTensor("s", DType::kI64, {});
  ASSERT_EQ(CopyRuns(scalar, scalar).size(), 1u);
  EXPECT_EQ(CopyRuns(scalar, scalar)[0].bytes, 8u);
}

TEST(Tiling, RandomCutsTileAndOneMoreOrLessDoesNot) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    const Box whole = WholeTensor("w", DType::kBF16, {1 + random() % 12, 1 + random() % 12});
    std::vector<Box> parts = RandomCuts(whole, random, 1 + random() % 8);
    ASSERT_TRUE(CheckTiling(parts).ok()) << CheckTiling(parts);
    size_t victim = random() % parts.size();
    while (IsEmpty(parts[victim])) victim = (victim + 1) % parts.size();
    std::vector<Box> twice = parts;
    twice.push_back(parts[victim]);
    EXPECT_EQ(CheckTiling(twice).code(), absl::StatusCode::kInvalidArgument);
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(victim));
    EXPECT_FALSE(CheckTiling(parts).ok());
  }
}

TEST(Tiling, ScalarsAndEmptyTensors) {
  const Box scalar = WholeTensor("s", DType::kI64, {});
  EXPECT_TRUE(CheckTiling(std::vector<Box>{scalar}).ok());
  EXPECT_FALSE(CheckTiling(std::vector<Box>{scalar, scalar}).ok());
  const Box none = WholeTensor("n", DType::kF32, {0, 3});
  EXPECT_TRUE(CheckTiling(std::vector<Box>{none}).ok());
}

TEST(Box, HostileOnesAreRefused) {
  struct Case {
    const char* name;
    Box box;
  };
  const uint64_t huge = 1ull << 63;
  const Case cases[] = {
      {"no name", {"", DType::kF32, {1}, {0}, {1}}},
      {"an @ in the name", {"a@b", DType::kF32, {1}, {0}, {1}}},
      {"a line end in the name", {"a\nb", DType::kF32, {1}, {0}, {1}}},
      {"fewer offsets than axes", {"a", DType::kF32, {1, 1}, {0}, {1, 1}}},
      {"outside", {"a", DType::kF32, {4}, {2}, {3}}},
      {"an offset that wraps", {"a", DType::kF32, {4}, {~0ull}, {2}}},
      {"an extent that wraps", {"a", DType::kF32, {4}, {2}, {~0ull}}},
      {"a size that wraps", {"a", DType::kF32, {huge, 2}, {0, 0}, {huge, 2}}},
      {"a size that wraps behind a zero", {"a", DType::kF32, {0, huge}, {0, 0}, {0, huge}}},
      {"nine axes",
       {"a",
        DType::kF32,
        {1, 1, 1, 1, 1, 1, 1, 1, 1},
        {0, 0, 0, 0, 0, 0, 0, 0, 0},
        {1, 1, 1, 1, 1, 1, 1, 1, 1}}},
  };
  for (const Case& c : cases) EXPECT_FALSE(ValidateBox(c.box).ok()) << c.name;
}

}  // namespace
}  // namespace muster::checkpoint
