// Thousands of single damages to a committed checkpoint on disk: none is accepted, each is answered
// by the older checkpoint.
//
// MUSTER_DAMAGES=n does n of each kind (900 in the normal run).
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "checkpoint/digest.h"
#include "rank/checkpoint/resume.h"
#include "tests/unit/checkpoint/crash_history.h"
#include "trainer/collective/in_process/in_process.h"

namespace muster::checkpoint {
namespace {

constexpr CheckpointId kOld{10, 1}, kNew{20, 1};

std::string Folder(CheckpointId id) { return kJob + "/" + CheckpointFolder(id); }

// A disk with two checkpoints, and one thing that happens to the newer.
class Damaged {
 public:
  Damaged(const SimulatedDisk& whole, uint64_t seed) : disk_(whole), random_(seed) {
    for (const std::string& path : whole.Files()) {
      if (path.starts_with(Folder(kNew) + "/")) paths_.push_back(path);
    }
  }

  SimulatedDisk& disk() { return disk_; }

  void FlipABit() {
    std::string text = Pick();
    text[At(text)] ^= static_cast<char>(1 << (random_() % 8));
    Put(text);
  }
  void OverwriteARun() {
    std::string text = Pick();
    for (size_t at = At(text), n = 1 + random_() % 64; n > 0 && at < text.size(); ++at, --n) {
      text[at] = static_cast<char>(random_());
    }
    Put(text);
  }
  void ZeroABlock() {
    std::string text = Pick();
    const size_t size = size_t{512} << (random_() % 4);
    const size_t begin = At(text) / size * size;
    for (size_t at = begin; at < std::min(begin + size, text.size()); ++at) text[at] = '\0';
    Put(text);
  }
  void Truncate() {
    const std::string text = Pick();
    Put(text.substr(0, At(text)));
  }
  void Extend() {
    const size_t size = 1 + random_() % (random_() % 2 ? 16 : 5000);
    Put(Pick() + std::string(size, random_() % 2 ? '\0' : static_cast<char>(random_())));
  }
  void SwapTwoParts() {  // as when blocks come back in another order
    std::string text = Pick();
    const size_t size = 1 + random_() % std::min<size_t>(text.size() / 2, 4096);
    const size_t a = random_() % (text.size() - 2 * size + 1);
    const size_t b = a + size + random_() % (text.size() - 2 * size - a + 1);
    std::swap_ranges(text.begin() + static_cast<ptrdiff_t>(a),
                     text.begin() + static_cast<ptrdiff_t>(a + size),
                     text.begin() + static_cast<ptrdiff_t>(b));
    Put(text);
  }
  void RepeatAPart() {  // as when a write went to the wrong block
    std::string text = Pick();
    const size_t size = 1 + random_() % std::min<size_t>(text.size() / 2, 4096);
    const std::string part = text.substr(random_() % (text.size() - size + 1), size);
    text.replace(random_() % (text.size() - size + 1), size, part);
    Put(text);
  }
  void SwapTwoFiles() {
    const std::string a = Pick();
    const std::string first = path_;
    const std::string b = Pick();
    Put(a);
    disk_.Overwrite(first, b);
  }
  void LoseAFile() {
    Pick();
    EXPECT_TRUE(disk_.Remove(path_, false).ok());
  }
  void PutBackAnOlderFile() {
    Pick();
    Put(TextOf(Folder(kOld) + path_.substr(Folder(kNew).size())));
  }
  void PutAnotherFileOfIt() {  // the same folder, the wrong name
    const std::string text = Pick();
    Pick();
    Put(text);
  }
  void AddAFile() {
    const std::string text = Pick();
    const char* const names[] = {"/data/w00009.safetensors",  "/data/x",
                                 "/w00000.safetensors",       "/notes",
                                 "/data/w00001.safetensors~", "/data/manifest.json"};
    const std::string path = Folder(kNew) + names[random_() % 6];
    EXPECT_TRUE(disk_.Create(path).ok());
    disk_.Overwrite(path, random_() % 4 ? text : "");
  }

 private:
  std::string TextOf(const std::string& path) { return disk_.Text(*disk_.FindFile(path)); }
  std::string Pick() {
    path_ = paths_[random_() % paths_.size()];
    return TextOf(path_);
  }
  size_t At(const std::string& text) { return random_() % text.size(); }
  void Put(const std::string& text) { disk_.Overwrite(path_, text); }

  SimulatedDisk disk_;
  std::mt19937_64 random_;
  std::vector<std::string> paths_;
  std::string path_;
};

struct Kind {
  const char* name;
  void (Damaged::*happens)();
  bool touches_what_is_loaded = true;
};
constexpr std::array<Kind, 12> kKinds = {{
    {"a bit flipped", &Damaged::FlipABit},
    {"a run of bytes overwritten", &Damaged::OverwriteARun},
    {"a block zeroed", &Damaged::ZeroABlock},
    {"truncated", &Damaged::Truncate},
    {"extended", &Damaged::Extend},
    {"two parts swapped", &Damaged::SwapTwoParts},
    {"a part repeated elsewhere", &Damaged::RepeatAPart},
    {"two files swapped", &Damaged::SwapTwoFiles},
    {"a file missing", &Damaged::LoseAFile},
    {"an older step's file put back", &Damaged::PutBackAnOlderFile},
    {"another file of it under this name", &Damaged::PutAnotherFileOfIt},
    {"a file too many", &Damaged::AddAFile, false},
}};

constexpr std::array<const char*, 6> kNoticed = {"COMMIT", "SHA-256", "size",
                                                 "CRC32C", "missing", "name"};

// By what a damage was noticed first.
size_t NoticedBy(const std::string& problem) {
  const std::pair<const char*, size_t> words[] = {
      {"not committed", 0},     {"COMMIT is damaged", 0},   {"/COMMIT", 0},
      {"that COMMIT names", 1}, {"COMMIT of step", 1},      {"the manifest says ", 3},
      {"No such file", 4},      {"not in the manifest", 5}, {"does not belong", 5}};
  if (problem.find(" bytes, the manifest says") != std::string::npos) return 2;
  for (const auto& [word, column] : words) {
    if (problem.find(word) != std::string::npos) return column;
  }
  ADD_FAILURE() << "no reason told apart: " << problem;
  return 0;
}

class DamageCampaign : public testing::Test {
 protected:
  void SetUp() override {
    DiskFiles files;
    for (const CheckpointId id : {kOld, kNew}) {
      const absl::Status saved = SaveStep(files, id, 3, history_);
      ASSERT_TRUE(saved.ok()) << saved;
      permitted_.insert(permitted_.begin(), {id, ReadCommit(Folder(id), files)->manifest_sha256});
    }
    whole_ = files.disk();
  }

  // Empty: nothing of the damage was accepted.
  std::string Accepted(const SimulatedDisk& disk, const Kind& kind, uint64_t seed,
                       size_t* noticed) {
    DiskFiles files(disk);
    std::mt19937_64 random(seed);
    const VerifyReport report = Verify(Folder(kNew), nullptr, VerifyDepth::kEverything, files);
    if (report.ok()) return "Verify";
    *noticed = NoticedBy(report.problems.front());
    const absl::StatusOr<bool> loaded = LoadsBack(Folder(kNew), ModelOf(kNew), random, files);
    if (loaded.ok() && (kind.touches_what_is_loaded || !*loaded)) return "Load";
    if (const std::string fault = NotTheOlder(ChooseResume(kJob, permitted_, files));
        !fault.empty()) {
      return fault;
    }
    if (const std::string fault = GoesOnWrongly(files, kind, random); !fault.empty()) return fault;
    if (seed % 4 != 0) return "";
    const absl::StatusOr<bool> older = LoadsBack(Folder(kOld), ModelOf(kOld), random, files);
    if (!older.ok() || !*older) return "nothing, but the older one does not load";
    return NotTheOlder(ChooseNewest(kJob, files));
  }

  // What a rank goes on from: the older step, or the newer where nothing of it was touched; and in
  // either case with the right bytes.
  std::string GoesOnWrongly(FileSystem& files, const Kind& kind, std::mt19937_64& random) {
    const auto world = trainer::collective::MakeInProcessWorld(1);
    const rank::RankSlots no_slots({}, {"gpt-1-abc", 0, 0, 0, 1});
    const rank::Console console{[](const std::string&) {}, [](const std::string&) {}};
    std::vector<Box> boxes;
    std::vector<Bytes> got;
    rank::ResumeRequest request;
    request.root = kJob;
    request.permitted = permitted_;
    request.attempt = 2;
    request.requests = [&](const Manifest& manifest, bool) {
      boxes.clear();
      for (const Tensor& tensor : manifest.tensors) {
        const Box whole = WholeTensor(tensor.name, tensor.dtype, tensor.shape);
        for (Box& part : RandomCuts(whole, random, 1 + random() % 3)) boxes.push_back(part);
      }
      got.clear();
      for (const Box& box : boxes) got.emplace_back(ByteCount(box));
      std::vector<Request> requests;
      for (size_t i = 0; i < boxes.size(); ++i) requests.push_back({boxes[i], got[i]});
      return requests;
    };
    const auto resumed = rank::Resume(request, no_slots, *world[0], console, files);
    if (!resumed.ok())
      return "nothing, but no going on: " + std::string(resumed.status().message());
    if (!resumed->has_value()) return "nothing, but a new beginning";
    const CheckpointId id{(*resumed)->manifest.step, (*resumed)->manifest.attempt};
    if (id != kOld && kind.touches_what_is_loaded) return "going on";
    for (size_t i = 0; i < boxes.size(); ++i) {
      if (got[i] != CutOut(ModelOf(id), boxes[i])) return "going on, with other bytes";
    }
    return "";
  }

  static std::string NotTheOlder(const absl::StatusOr<ResumeChoice>& choice) {
    if (!choice.ok()) return "nothing, but no resume: " + std::string(choice.status().message());
    if (!choice->point.has_value() || choice->point->manifest.step != kOld.step) return "resume";
    return choice->notes.size() > 1 ? "nothing, but there is a note too many" : "";
  }

  History history_;
  std::vector<Permitted> permitted_;  // newest first
  SimulatedDisk whole_;
};

TEST_F(DamageCampaign, NoSingleDamageIsAcceptedAndTheOlderStepIsUsed) {
  const char* text = std::getenv("MUSTER_DAMAGES");
  const uint64_t each = text == nullptr ? 900 : std::strtoull(text, nullptr, 10);
  std::printf("  %-36s %7s %9s |", "damage", "count", "accepted");
  for (const char* column : kNoticed) std::printf(" %7s", column);
  std::printf("\n");
  uint64_t all = 0, all_accepted = 0;
  for (size_t k = 0; k < kKinds.size(); ++k) {
    std::array<uint64_t, kNoticed.size()> columns{};
    uint64_t count = 0, accepted = 0;
    for (uint64_t seed = k << 32; count < each; ++seed) {
      Damaged damaged(whole_, seed);
      (damaged.*kKinds[k].happens)();
      if (damaged.disk().SameAs(whole_)) continue;  // zeros where zeros were
      ++count;
      size_t noticed = 0;
      const std::string by = Accepted(damaged.disk(), kKinds[k], seed, &noticed);
      if (by.empty()) {
        ++columns[noticed];
      } else if (++accepted <= 3) {
        ADD_FAILURE() << kKinds[k].name << ", seed " << seed << ": accepted by " << by;
      }
    }
    std::printf("  %-36s %7zu %9zu |", kKinds[k].name, static_cast<size_t>(count),
                static_cast<size_t>(accepted));
    for (const uint64_t column : columns) std::printf(" %7zu", static_cast<size_t>(column));
    std::printf("\n");
    all += count;
    all_accepted += accepted;
  }
  std::printf("  %-36s %7zu %9zu |\n", "all", static_cast<size_t>(all),
              static_cast<size_t>(all_accepted));
}

// Everything of an older checkpoint under a newer one's name: whole in itself, and yet not it.
TEST_F(DamageCampaign, AnOlderCheckpointUnderANewersNameIsNotTaken) {
  DiskFiles files(whole_);
  for (const std::string& path : whole_.Files()) {
    if (!path.starts_with(Folder(kNew) + "/")) continue;
    const std::string older = Folder(kOld) + path.substr(Folder(kNew).size());
    files.disk().Overwrite(path, whole_.Text(*whole_.FindFile(older)));
  }
  EXPECT_FALSE(Verify(Folder(kNew), nullptr, VerifyDepth::kEverything, files).ok());
  for (const auto& choice : {ChooseResume(kJob, permitted_, files), ChooseNewest(kJob, files)}) {
    ASSERT_TRUE(choice.ok()) << choice.status();
    ASSERT_TRUE(choice->point.has_value());
    EXPECT_EQ(choice->point->folder, Folder(kOld));
  }
}

// Whole chunks of a large shard in another order: each right in itself, none in its place.
TEST(DamageOfChunks, ChunksInAnotherOrderAreNotTaken) {
  DiskFiles files;
  std::mt19937_64 random(1);
  Model model;
  const Box big = WholeTensor("big", DType::kU8, {4 * kChunkBytes + 17});
  model.tensors = {big};
  Bytes bytes(ByteCount(big));
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(&bytes[i], &word, 8);
  }
  model.bytes["big"] = std::move(bytes);
  const absl::StatusOr<std::string> folder = Save(kJob, {1, 1}, model, random, 1, files);
  ASSERT_TRUE(folder.ok()) << folder.status();
  const std::string path = *folder + "/data/w00000.safetensors";
  const std::string whole = files.disk().Text(*files.disk().FindFile(path));
  for (size_t a = 0; a < 4; ++a) {
    for (size_t b = a + 1; b < 4; ++b) {
      std::string text = whole;
      std::swap_ranges(text.begin() + static_cast<ptrdiff_t>(a * kChunkBytes),
                       text.begin() + static_cast<ptrdiff_t>((a + 1) * kChunkBytes),
                       text.begin() + static_cast<ptrdiff_t>(b * kChunkBytes));
      files.disk().Overwrite(path, std::move(text));
      EXPECT_FALSE(Verify(*folder, nullptr, VerifyDepth::kEverything, files).ok()) << a << b;
      EXPECT_FALSE(LoadsBack(*folder, model, random, files).ok()) << a << b;
    }
  }
}

}  // namespace
}  // namespace muster::checkpoint
