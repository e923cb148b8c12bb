// Any layout loads any other, bit for bit.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "checkpoint/digest.h"
#include "checkpoint/verify.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/disk_files.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

TEST(Reshape, RandomSplitsToRandomSplits) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    DiskFiles files;  // in memory
    const Model model = RandomModel(random, 2 + seed % 30);
    const auto saved = Save("/r/job", {seed, 1}, model, random, 1 + seed % 9, files);
    ASSERT_TRUE(saved.ok()) << "seed " << seed << ": " << saved.status();
    const VerifyReport report = Verify(*saved, nullptr, VerifyDepth::kEverything, files);
    ASSERT_TRUE(report.ok()) << "seed " << seed << ": " << VerifyStatus(*saved, report);
    for (int layout = 0; layout < 3; ++layout) {
      const auto same = LoadsBack(*saved, model, random, files);
      ASSERT_TRUE(same.ok()) << "seed " << seed << ": " << same.status();
      ASSERT_TRUE(*same) << "seed " << seed;
    }
  }
}

TEST(Reshape, AcrossChunkBorders) {
  std::mt19937_64 random(1);
  TempFolder temp;
  Model model;
  const Box big = WholeTensor("big", DType::kF32, {3001, 4001});  // 48 MB, odd rows
  model.tensors = {big};
  Bytes bytes(ByteCount(big));
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(&bytes[i], &word, 8);
  }
  model.bytes["big"] = std::move(bytes);
  const auto saved = Save(temp.path(), {1, 1}, model, random, 2);
  ASSERT_TRUE(saved.ok()) << saved.status();
  uint64_t last = 0;
  const VerifyReport report = Verify(*saved, [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_LE(done, total);
    last = done;
  });
  EXPECT_TRUE(report.ok()) << VerifyStatus(*saved, report);
  EXPECT_EQ(report.bytes, last);
  for (int layout = 0; layout < 3; ++layout) {
    const auto same = LoadsBack(*saved, model, random);
    ASSERT_TRUE(same.ok()) << same.status();
    EXPECT_TRUE(*same);
  }
}

TEST(Reshape, WhatIsNotThereIsAnError) {
  std::mt19937_64 random(2);
  DiskFiles files;
  const Model model = RandomModel(random, 5);
  const std::string folder = *Save("/r/job", {1, 1}, model, random, 2, files);
  Manifest manifest = *ReadManifest(folder, files);
  Bytes bytes(8);
  auto load = [&](const Box& box) {
    bytes.resize(ByteCount(box));
    const std::vector<Request> requests = {{box, bytes}};
    return Load(folder, manifest, requests, files).status().code();
  };
  EXPECT_EQ(load(WholeTensor("step", DType::kI64, {})), absl::StatusCode::kOk);
  EXPECT_EQ(load(WholeTensor("absent", DType::kF32, {2})), absl::StatusCode::kNotFound);
  EXPECT_EQ(load(WholeTensor("step", DType::kI32, {})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(load(WholeTensor("step", DType::kI64, {1})), absl::StatusCode::kInvalidArgument);
  // A manifest that somebody edited in memory is not the committed one.
  manifest.sha256 = Sha256Hex("x");
  EXPECT_EQ(load(WholeTensor("step", DType::kI64, {})), absl::StatusCode::kDataLoss);
}

TEST(Reshape, PythonsSafetensorsOpensTheShards) {
  const char* python = std::getenv("MUSTER_PYTHON");
  const std::string run = python ? python : "/usr/bin/python3";
  if (std::system((run + " -c 'import safetensors, numpy' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << run << " has no safetensors and numpy; set MUSTER_PYTHON to one that has";
  }
  TempFolder temp;
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<Slice> slices = {
      {WholeTensor("w", DType::kF32, {2, 3}), std::as_bytes(std::span(values))}};
  ASSERT_TRUE(WriteShard(temp.path(), "w00000", slices).ok());
  std::ofstream(temp.path() + "/read.py")
      << "import sys\n"
         "from safetensors import safe_open\n"
         "with safe_open(sys.argv[1], framework='numpy') as f:\n"
         "    assert list(f.keys()) == ['w@0,0'], f.keys()\n"
         "    assert f.get_tensor('w@0,0').tolist() == [[1, 2, 3], [4, 5, 6]]\n"
         "    assert f.metadata()['shape:w'] == '[2,3]', f.metadata()\n";
  EXPECT_EQ(
      std::system((run + " " + temp.path() + "/read.py " + temp.path() + "/data/w00000.safetensors")
                      .c_str()),
      0);
}

}  // namespace
}  // namespace muster::checkpoint
