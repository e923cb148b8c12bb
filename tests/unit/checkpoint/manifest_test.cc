#include "checkpoint/manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "checkpoint/safetensors.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

class ManifestTest : public testing::Test {
 protected:
  void SetUp() override {
    const Bytes bytes(24, std::byte{1});
    const std::vector<Slice> slices = {{WholeTensor("w", DType::kF32, {2, 3}), bytes}};
    absl::StatusOr<ShardDigest> digest = WriteShard(temp_.path(), "w00000", slices);
    ASSERT_TRUE(digest.ok()) << digest.status();
    digest_ = *digest;
    RunState run;
    run.model_json = "{\"b\": 1,\"a\":2.5}";
    absl::StatusOr<Manifest> manifest = BuildManifest(5, 2, "uid", run, {&digest_, 1});
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    manifest_ = *manifest;
    text_ = ManifestText(manifest_);
  }
  TempFolder temp_;
  ShardDigest digest_;
  Manifest manifest_;
  std::string text_;
};

TEST_F(ManifestTest, TextAndBack) {
  const absl::StatusOr<Manifest> again = ParseManifest(text_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, manifest_);
  EXPECT_EQ(again->sha256, Sha256Hex(text_));
  EXPECT_EQ(again->run.model_json, R"({"a":2.5,"b":1})");
}

TEST_F(ManifestTest, HostileTextIsRefused) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  const std::string file = "data/w00000.safetensors";
  struct Case {
    const char* name;
    std::string text;
  };
  const Case cases[] = {
      {"empty", ""},
      {"not JSON", "{"},
      {"a list", "[]\n"},
      {"deep", deep},
      {"another format", Replaced(text_, "ckpt/1", "ckpt/2")},
      {"a missing field", Replaced(text_, "\"job\":\"uid\",", "")},
      {"an unknown field", Replaced(text_, "\"job\":", "\"a\":1,\"job\":")},
      {"a field twice", Replaced(text_, "\"job\":", "\"job\":\"x\",\"job\":")},
      {"a path upwards", Replaced(text_, file, "data/../../etc/passwd.safetensors")},
      {"an absolute path", Replaced(text_, file, "/etc/passwd")},
      {"a hidden file", Replaced(text_, file, "data/.w.safetensors")},
      {"another file in the piece",
       Replaced(text_, "\"file\":\"data/w00000", "\"file\":\"data/w1")},
      {"a negative number", Replaced(text_, "\"step\":5", "\"step\":-5")},
      {"a fraction", Replaced(text_, "\"step\":5", "\"step\":5.0")},
      {"a number over 64 bits", Replaced(text_, "\"step\":5", "\"step\":99999999999999999999999")},
      {"an extent that wraps",
       Replaced(text_, "\"extent\":[2,3]", "\"extent\":[2,18446744073709551615]")},
      {"a shape that wraps",
       Replaced(text_, "\"shape\":[2,3]", "\"shape\":[9223372036854775808,3]")},
      {"a gap", Replaced(text_, "\"shape\":[2,3]", "\"shape\":[3,3]")},
      {"bytes past the end of the file",
       Replaced(text_, "\"begin\":4096,\"end\":4120", "\"begin\":4100,\"end\":4124")},
      {"a range that is turned round",
       Replaced(text_, "\"begin\":4096,\"end\":4120", "\"begin\":4120,\"end\":4096")},
      {"a checksum too few", Replaced(text_, "\"size\":4120", "\"size\":99999999999")},
      {"space at the end", text_ + " "},
      {"other order of keys", Replaced(text_, "{\"a\":2.5,\"b\":1}", "{\"b\":1,\"a\":2.5}")},
  };
  for (const Case& c : cases) {
    const absl::Status status = ParseManifest(c.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << c.name << ": " << status;
  }
}

TEST_F(ManifestTest, GapsAndDoublesAreNotBuilt) {
  ShardDigest twice = digest_;
  twice.file.name = twice.pieces[0].file = "data/w00001.safetensors";
  const std::vector<ShardDigest> both = {digest_, twice};
  EXPECT_FALSE(BuildManifest(5, 2, "uid", {}, both).ok());
  const std::vector<ShardDigest> same = {digest_, digest_};
  EXPECT_FALSE(BuildManifest(5, 2, "uid", {}, same).ok());
  ShardDigest gap = digest_;
  gap.pieces[0].box.extent = {1, 3};
  EXPECT_FALSE(BuildManifest(5, 2, "uid", {}, {&gap, 1}).ok());
  RunState bad;
  bad.extra_json = "[1]";
  EXPECT_FALSE(BuildManifest(5, 2, "uid", bad, {&digest_, 1}).ok());
}

TEST_F(ManifestTest, CommitIsMadeOnce) {
  ASSERT_TRUE(WriteManifest(temp_.path(), manifest_).ok());
  EXPECT_EQ(ReadCommit(temp_.path()).status().code(), absl::StatusCode::kNotFound);
  const CommitRecord record{5, 2, 9, manifest_.sha256};
  ASSERT_TRUE(Commit(temp_.path(), record).ok());
  EXPECT_TRUE(Commit(temp_.path(), record).ok());
  EXPECT_EQ(*ReadCommit(temp_.path()), record);
  CommitRecord zombie = record;
  zombie.epoch = 8;
  EXPECT_EQ(Commit(temp_.path(), zombie).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*ReadCommit(temp_.path()), record);
  EXPECT_EQ(*ReadManifest(temp_.path()), manifest_);
  // What is committed is never written to again.
  EXPECT_TRUE(WriteManifest(temp_.path(), manifest_).ok());
  Manifest other = manifest_;
  other.sha256 = Sha256Hex("other");
  EXPECT_EQ(WriteManifest(temp_.path(), other).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(WriteShard(temp_.path(), "w00000", {}).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST(Safetensors, HostileHeadersAreRefused) {
  auto head = [](const std::string& json, uint64_t length) {
    std::string out(8, '\0');
    for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(length >> (8 * i));
    return out + json;
  };
  auto whole = [&](const std::string& json) { return head(json, json.size()); };
  EXPECT_TRUE(
      ParseSafetensorsHeader(whole(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} )"))
          .ok());
  const std::string bad[] = {
      "",
      "1234567",
      head("{}", 3),
      head("{}", ~0ull),
      whole("[]"),
      whole(R"({"a":{"dtype":"X9","shape":[2],"data_offsets":[0,8]}})"),
      whole(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})"),
      whole(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
      whole(R"({"a":{"dtype":"F32","shape":[9223372036854775808,4],"data_offsets":[0,0]}})"),
      whole(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})"),
  };
  for (const std::string& text : bad) {
    EXPECT_FALSE(ParseSafetensorsHeader(text).ok())
        << text.substr(std::min<size_t>(8, text.size()));
  }
}

TEST(Shard, BadSlicesAreRefused) {
  TempFolder temp;
  const Bytes four(4);
  const Box box = WholeTensor("w", DType::kF32, {1});
  EXPECT_FALSE(WriteShard(temp.path(), "../w", {}).ok());
  const std::vector<Slice> twice = {{box, four}, {box, four}};
  EXPECT_FALSE(WriteShard(temp.path(), "w", twice).ok());
  const std::vector<Slice> short_one = {{box, std::span(four).first(3)}};
  EXPECT_FALSE(WriteShard(temp.path(), "w", short_one).ok());
  // A writer that has nothing writes a valid, empty file.
  const absl::StatusOr<ShardDigest> nothing = WriteShard(temp.path(), "w", {});
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_EQ(nothing->file.size, 4096u);
}

}  // namespace
}  // namespace muster::checkpoint
