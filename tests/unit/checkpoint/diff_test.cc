#include "checkpoint/diff.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "checkpoint/batches.h"
#include "checkpoint/number.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

Bytes Floats(std::vector<float> values) {
  Bytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Model OneTensor(const std::string& name, std::vector<float> values) {
  Model model;
  model.tensors = {WholeTensor(name, DType::kF32, {values.size()})};
  model.bytes[name] = Floats(std::move(values));
  return model;
}

TEST(Diff, OfOneModelInTwoLayoutsIsNothing) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    const Model model = RandomModel(random, 30);
    TempFolder temp;
    const auto a = Save(temp.path() + "/a", {1, 1}, model, random, 1);
    const auto b = Save(temp.path() + "/b", {2, 5}, model, random, 4);
    const auto diff = Diff(*a, *b, "", nullptr, PosixFiles(), 1 + random() % 100);
    ASSERT_TRUE(diff.ok()) << "seed " << seed << ": " << diff.status();
    EXPECT_TRUE(diff->identical()) << "seed " << seed;
    EXPECT_EQ(diff->tensors.size(), model.tensors.size());
  }
}

TEST(Diff, CountsWhatWasChangedAndNamesIt) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    Model model = RandomModel(random, 30);
    TempFolder temp;
    const auto a = Save(temp.path() + "/a", {1, 1}, model, random, 2);
    Bytes& odd = model.bytes["odd"];
    std::vector<bool> changed(odd.size());
    double most = 0;
    for (int i = 0; i < 5; ++i) {
      const size_t at = random() % odd.size();
      if (changed[at]) continue;
      changed[at] = true;
      const auto before = static_cast<int>(odd[at]);
      odd[at] ^= static_cast<std::byte>(1 + random() % 255);
      most = std::max(most, std::abs(static_cast<double>(static_cast<int>(odd[at]) - before)));
    }
    const auto b = Save(temp.path() + "/b", {1, 1}, model, random, 3);
    const auto diff = Diff(*a, *b, "", nullptr, PosixFiles(), 7);
    ASSERT_TRUE(diff.ok()) << diff.status();
    for (const TensorDiff& tensor : diff->tensors) {
      if (tensor.name != "odd") {
        EXPECT_TRUE(tensor.identical()) << "seed " << seed << " " << tensor.name;
        continue;
      }
      EXPECT_EQ(tensor.differing,
                static_cast<uint64_t>(std::count(changed.begin(), changed.end(), true)));
      EXPECT_EQ(tensor.max_abs, most) << "seed " << seed;
    }
  }
}

TEST(Diff, SaysWhatOnlyOneHasAndOtherShapes) {
  std::mt19937_64 random(1);
  TempFolder temp;
  Model left = OneTensor("x", {1, 2, 3}), right = OneTensor("x", {1, 2, 3, 4});
  left.tensors.push_back(WholeTensor("gone", DType::kF32, {1}));
  left.bytes["gone"] = Floats({1});
  right.tensors.push_back(WholeTensor("new", DType::kF32, {1}));
  right.bytes["new"] = Floats({1});
  const auto a = Save(temp.path() + "/a", {1, 1}, left, random, 1);
  const auto b = Save(temp.path() + "/b", {1, 1}, right, random, 1);
  const auto diff = Diff(*a, *b, "");
  ASSERT_TRUE(diff.ok()) << diff.status();
  EXPECT_EQ(diff->only_a, std::vector<std::string>{"gone"});
  EXPECT_EQ(diff->only_b, std::vector<std::string>{"new"});
  ASSERT_EQ(diff->tensors.size(), 1u);
  EXPECT_FALSE(diff->tensors[0].comparable());
  EXPECT_FALSE(diff->identical());
  EXPECT_TRUE(Diff(*a, *a, "go")->only_b.empty());
}

TEST(Diff, OfNumbersThatAreNone) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  std::mt19937_64 random(1);
  TempFolder temp;
  const struct {
    const char* name;
    float a, b;
    uint64_t differing;
    double max_abs, max_rel;
  } cases[] = {
      {"equal NaNs are equal", nan, nan, 0, 0, 0},
      {"NaN against a number", nan, 1, 1, inf, inf},
      {"infinity against a number", inf, 1, 1, inf, inf},
      {"infinities of unlike sign", inf, -inf, 1, inf, inf},
      {"zeros of unlike sign", 0.0f, -0.0f, 1, 0, 0},
      {"two numbers", 2, 3, 1, 1, 1.0 / 3},
  };
  int i = 0;
  for (const auto& c : cases) {
    const std::string root = temp.path() + "/" + std::to_string(i++);
    const auto a = Save(root + "a", {1, 1}, OneTensor("x", {c.a}), random, 1);
    const auto b = Save(root + "b", {1, 1}, OneTensor("x", {c.b}), random, 1);
    const auto diff = Diff(*a, *b, "");
    ASSERT_TRUE(diff.ok()) << diff.status();
    EXPECT_EQ(diff->tensors[0].differing, c.differing) << c.name;
    EXPECT_EQ(diff->tensors[0].max_abs, c.max_abs) << c.name;
    EXPECT_EQ(diff->tensors[0].max_rel, c.max_rel) << c.name;
  }
}

TEST(Batches, TileWhatWasWantedInOrder) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random(seed);
    const Model model = RandomModel(random, 20);
    const uint64_t bytes_max = 1 + random() % 300;
    const auto batches = CutIntoBatches(model.tensors, bytes_max);
    std::map<std::string, std::vector<Box>> parts;
    for (const auto& batch : batches) {
      uint64_t bytes = 0;
      for (const Box& box : batch) {
        bytes += ByteCount(box);
        parts[box.tensor].push_back(box);
      }
      EXPECT_TRUE(bytes <= std::max<uint64_t>(bytes_max, 8)) << "seed " << seed;
    }
    for (const Box& whole : model.tensors) {
      EXPECT_TRUE(CheckTiling(parts[whole.tensor]).ok()) << "seed " << seed << " " << whole.tensor;
      // In row-major order: joined they are the tensor's bytes.
      Bytes joined;
      for (const Box& part : parts[whole.tensor]) {
        const Bytes bytes = CutOut(model, part);
        joined.insert(joined.end(), bytes.begin(), bytes.end());
      }
      EXPECT_EQ(joined, model.bytes.at(whole.tensor)) << "seed " << seed;
    }
  }
}

// Every half-precision number, against the definition.
TEST(Number, Float16AndBFloat16AreExact) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double fraction = bits & 1023;
    double expected = exponent == 31 ? (fraction > 0 ? NAN : INFINITY)
                      : exponent > 0 ? std::ldexp(1024 + fraction, exponent - 25)
                                     : std::ldexp(fraction, -24);
    if (bits >> 15) expected = -expected;
    const double is = NumberAt(DType::kF16, reinterpret_cast<const std::byte*>(&half));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(is)) << bits;
    } else {
      EXPECT_EQ(is, expected) << bits;
      EXPECT_EQ(std::signbit(is), std::signbit(expected)) << bits;
    }
    float wide = 0;
    ToFloats(DType::kBF16, std::as_bytes(std::span(&half, 1)), std::span(&wide, 1));
    if (!std::isnan(wide)) {
      EXPECT_EQ(ToBFloat16(wide), half) << bits;
    }
  }
}

TEST(Number, BFloat16IsRoundedToNearestEven) {
  std::mt19937 random(3);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    const float value = std::bit_cast<float>(bits);
    const uint16_t rounded = ToBFloat16(value);
    const float back = std::bit_cast<float>(uint32_t{rounded} << 16);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(back)) << bits;
      continue;
    }
    // The two neighbours in bf16, and which of them is nearer; by their bits, so that the step to
    // infinity counts like any other.
    const uint32_t down = bits & 0xffff0000u, rest = bits & 0xffffu;
    const bool up = rest > 0x8000u || (rest == 0x8000u && (down & 0x10000u) != 0);
    EXPECT_EQ(uint32_t{rounded} << 16, up ? down + 0x10000u : down) << bits;
  }
  EXPECT_TRUE(std::isinf(
      std::bit_cast<float>(uint32_t{ToBFloat16(std::numeric_limits<float>::max())} << 16)));
}

}  // namespace
}  // namespace muster::checkpoint
