#include "checkpoint/fingerprint.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

TEST(Fingerprint, OfPartsAddsUpToTheWholeHoweverItIsCut) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const Model model = RandomModel(random, 40);
    for (const Box& whole : model.tensors) {
      const uint64_t expected = Fingerprint(whole, model.bytes.at(whole.tensor));
      uint64_t sum = 0;
      for (const Box& part : RandomCuts(whole, random, 1 + random() % 6)) {
        sum += Fingerprint(part, CutOut(model, part));
      }
      EXPECT_EQ(sum, expected) << "seed " << seed << " " << BoxText(whole);
    }
  }
}

TEST(Fingerprint, ChangesWithEveryBit) {
  std::mt19937_64 random(2);
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kU8}) {
    const Box box = WholeTensor("x", dtype, {7, 9});
    Bytes bytes(ByteCount(box));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    std::set<uint64_t> seen = {Fingerprint(box, bytes)};
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      EXPECT_TRUE(seen.insert(Fingerprint(box, bytes)).second) << DTypeName(dtype) << " " << bit;
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
  }
}

TEST(Fingerprint, SeesElementsThatChangedPlaces) {
  std::mt19937_64 random(3);
  const Box box = WholeTensor("x", DType::kF32, {1000});
  Bytes bytes(ByteCount(box));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const uint64_t before = Fingerprint(box, bytes);
  for (int i = 0; i < 2000; ++i) {
    const size_t a = random() % 1000, b = random() % 1000;
    if (a == b) continue;
    Bytes moved = bytes;
    for (size_t k = 0; k < 4; ++k) std::swap(moved[4 * a + k], moved[4 * b + k]);
    EXPECT_NE(Fingerprint(box, moved), before) << a << " " << b;
  }
  Bytes shifted(bytes.begin() + 4, bytes.end());
  shifted.insert(shifted.end(), bytes.begin(), bytes.begin() + 4);
  EXPECT_NE(Fingerprint(box, shifted), before);
}

}  // namespace
}  // namespace muster::checkpoint
