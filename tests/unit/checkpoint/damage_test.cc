// Flipped bits, cut files, swapped files: found by Verify always, by Load where it touches them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/resume.h"
#include "checkpoint/verify.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/checkpoint/sample_model.h"

namespace muster::checkpoint {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> FilesOf(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void FlipBit(const std::string& path, uint64_t bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(bit / 8));
  const char byte = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(bit / 8));
  file.put(static_cast<char>(byte ^ (1 << (bit % 8))));
}

class Damage : public testing::Test {
 protected:
  void SetUp() override {
    model_ = RandomModel(random_, 40);
    auto saved = Save(temp_.path(), {20, 3}, model_, random_, 4);
    ASSERT_TRUE(saved.ok()) << saved.status();
    folder_ = *saved;
    ASSERT_TRUE(Verify(folder_).ok()) << VerifyStatus(folder_, Verify(folder_));
  }
  std::mt19937_64 random_{9};
  TempFolder temp_;
  Model model_;
  std::string folder_;
};

TEST_F(Damage, AFlippedBitAnywhereIsFound) {
  const std::vector<std::string> files = FilesOf(folder_);
  ASSERT_EQ(files.size(), 6u);  // COMMIT, manifest.json, 4 shards
  int flips = 0, missed_by_verify = 0, missed_by_load = 0, loads_refused = 0;
  for (int round = 0; round < 900; ++round) {
    const std::string& file = files[static_cast<size_t>(round) % files.size()];
    const uint64_t bit = random_() % (fs::file_size(file) * 8);
    FlipBit(file, bit);
    ++flips;
    const VerifyReport report = Verify(folder_);
    if (report.ok()) ++missed_by_verify;
    for (const std::string& problem : report.problems) {
      EXPECT_NE(problem.find(folder_), std::string::npos) << problem;
    }
    const absl::StatusOr<bool> loaded = LoadsBack(folder_, model_, random_);
    if (loaded.ok()) {
      ++missed_by_load;
    } else {
      EXPECT_EQ(loaded.status().code(), absl::StatusCode::kDataLoss) << loaded.status();
      ++loads_refused;
    }
    FlipBit(file, bit);
  }
  std::printf("  %d flips, verify missed %d, a full load missed %d\n", flips, missed_by_verify,
              missed_by_load);
  EXPECT_EQ(missed_by_verify, 0);
  EXPECT_EQ(missed_by_load, 0);
  EXPECT_TRUE(*LoadsBack(folder_, model_, random_));
}

TEST_F(Damage, ALoadOfOneTensorNeedsOnlyItsFilesToBeWhole) {
  const Manifest manifest = *ReadManifest(folder_);
  const Tensor* tensor = FindTensor(manifest, "step");
  ASSERT_NE(tensor, nullptr);
  Bytes bytes(8);
  const std::vector<Request> requests = {{WholeTensor("step", DType::kI64, {}), bytes}};
  for (const FileRecord& file : manifest.files) {
    const std::string path = folder_ + "/" + file.name;
    FlipBit(path, (file.size - 1) * 8);
    const absl::Status status = Load(folder_, manifest, requests).status();
    if (file.name == tensor->pieces[0].file) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_NE(std::string(status.message()).find(file.name), std::string::npos) << status;
    } else {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(bytes, model_.bytes["step"]);
    }
    FlipBit(path, (file.size - 1) * 8);
  }
}

TEST_F(Damage, ACutFileIsFound) {
  for (const std::string& file : FilesOf(folder_)) {
    const uint64_t size = fs::file_size(file);
    fs::copy_file(file, temp_.path() + "/copy", fs::copy_options::overwrite_existing);
    for (uint64_t left : {uint64_t{0}, uint64_t{7}, size / 2, size - 1}) {
      fs::resize_file(file, left);
      EXPECT_FALSE(Verify(folder_).ok()) << file << " cut to " << left;
      EXPECT_FALSE(LoadsBack(folder_, model_, random_).ok()) << file << " cut to " << left;
      fs::copy_file(temp_.path() + "/copy", file, fs::copy_options::overwrite_existing);
    }
    fs::resize_file(file, size + 1);
    EXPECT_FALSE(Verify(folder_).ok()) << file << " grown";
    fs::resize_file(file, size);
    fs::remove(file);
    EXPECT_FALSE(Verify(folder_).ok()) << file << " removed";
    fs::copy_file(temp_.path() + "/copy", file);
    EXPECT_TRUE(Verify(folder_).ok());
  }
}

TEST_F(Damage, SwappedAndStrangeFilesAreFound) {
  const std::string a = folder_ + "/data/w00000.safetensors",
                    b = folder_ + "/data/w00001.safetensors";
  auto swap = [&](const std::string& x, const std::string& y) {
    fs::rename(x, temp_.path() + "/x");
    fs::rename(y, x);
    fs::rename(temp_.path() + "/x", y);
  };
  swap(a, b);
  EXPECT_FALSE(Verify(folder_).ok());
  EXPECT_FALSE(LoadsBack(folder_, model_, random_).ok());
  swap(a, b);
  // COMMIT or manifest of another, valid checkpoint of the same job.
  const std::string other = *Save(temp_.path(), {30, 3}, model_, random_, 4);
  for (const char* name : {"/COMMIT", "/manifest.json", "/data/w00002.safetensors"}) {
    swap(folder_ + name, other + name);
    const bool commit = std::string(name) == "/COMMIT";
    EXPECT_FALSE(Verify(folder_).ok()) << name;
    EXPECT_FALSE(Verify(other).ok()) << name;
    EXPECT_FALSE(LoadsBack(folder_, model_, random_).ok()) << name;
    EXPECT_EQ(ListCheckpoints(temp_.path())->front().state,
              commit ? CheckpointState::kDamagedCommit : CheckpointState::kCommitted);
    swap(folder_ + name, other + name);
  }
  std::ofstream(folder_ + "/data/extra.safetensors") << "x";
  EXPECT_FALSE(Verify(folder_).ok());
  fs::remove(folder_ + "/data/extra.safetensors");
  EXPECT_TRUE(Verify(folder_).ok());
}

TEST_F(Damage, ResumeStepsOverDamageAndNeverStartsFreshBecauseOfIt) {
  const std::string newer = *Save(temp_.path(), {30, 3}, model_, random_, 3);
  FlipBit(newer + "/data/w00001.safetensors", 4000);
  absl::StatusOr<ResumeChoice> choice = ChooseNewest(temp_.path());
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(choice->point->folder, folder_);
  ASSERT_EQ(choice->notes.size(), 1u);
  EXPECT_NE(choice->notes[0].find("w00001.safetensors: bytes 0-"), std::string::npos)
      << choice->notes[0];

  // Of the permitted ones: one never committed, one with another manifest, one good.
  const std::string sha = ReadCommit(folder_)->manifest_sha256;
  const auto permitted = ParsePermitted(
      R"([{"step":40,"attempt":4,"manifest_sha256":"00"},{"step":30,"attempt":3,"manifest_sha256":"00"},)"
      R"({"step":20,"attempt":3,"manifest_sha256":")" +
      sha + "\"}]");
  ASSERT_TRUE(permitted.ok()) << permitted.status();
  choice = ChooseResume(temp_.path(), *permitted);
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(choice->point->folder, folder_);
  EXPECT_EQ(choice->notes.size(), 2u);

  FlipBit(folder_ + "/COMMIT", 100);
  EXPECT_EQ(ChooseNewest(temp_.path()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(ChooseNewest(temp_.path() + "/nothing-here")->point.has_value());
  EXPECT_FALSE(ParsePermitted("{}").ok());
  EXPECT_FALSE(ParsePermitted(R"([{"step":-1,"attempt":1,"manifest_sha256":""}])").ok());
}

}  // namespace
}  // namespace muster::checkpoint
