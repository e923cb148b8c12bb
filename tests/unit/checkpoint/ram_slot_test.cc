// RAM slots: whatever moment the writer dies at and whatever bytes change afterwards, a reader gets
// a whole step or an error.
#include "checkpoint/ram_slot.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "checkpoint/digest.h"
#include "checkpoint/slot_file.h"
#include "tests/support/temp_folder.h"

namespace muster::checkpoint {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr size_t kState = 512;  // docs/formats/ram_slot.md

// Memory as a mapping gives it: from a page on.
class Memory {
 public:
  explicit Memory(size_t size) : size_(size), bytes_(new (std::align_val_t(4096)) std::byte[size]) {
    std::memset(bytes_, 0, size);
  }
  Memory(const Memory& other) : Memory(other.size_) { std::memcpy(bytes_, other.bytes_, size_); }
  Memory& operator=(const Memory&) = delete;
  ~Memory() { operator delete[](bytes_, std::align_val_t(4096)); }

  std::span<std::byte> span() { return {bytes_, size_}; }
  RamSlot slot() { return RamSlot(span()); }
  std::byte& operator[](size_t at) { return bytes_[at]; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::byte* bytes_;
};

struct Step {
  SlotId id;
  ShardLayout layout;
  Bytes image;
  ShardDigest digest;
  RunState run;
};

// A rank's shard of about `floats` floats with random content.
Step MakeStep(uint64_t step, uint32_t rank, size_t floats, uint64_t seed) {
  std::mt19937_64 random(seed);
  Step made;
  made.id = {"gpt-1-abc", step, 3, rank, 4};
  const std::vector<Box> boxes = {WholeTensor("w", DType::kF32, {floats}),
                                  WholeTensor("adamw.exp_avg.w", DType::kF32, {floats}),
                                  WholeTensor("step", DType::kI64, {})};
  made.layout = LayOutShard(WriterName(rank), boxes).value();
  made.image.resize(made.layout.bytes);
  for (std::byte& byte : made.image) byte = static_cast<std::byte>(random());
  std::memcpy(made.image.data(), made.layout.header.data(), made.layout.header.size());
  ChunkCrc crc;
  crc.Add(made.image);
  made.digest = {{made.layout.name, made.layout.bytes, crc.Finish()}, made.layout.pieces};
  made.run.next_sample = step * 16;
  made.run.layout = "data=2,tensor=2";
  for (int i = 0; i < 64; ++i) made.run.dataset_digest += "0123456789abcdef"[random() % 16];
  made.run.model_json = R"({"layers":2})";
  return made;
}

void Fill(RamSlot& slot, const Step& step, bool drain = false) {
  ASSERT_TRUE(slot.BeginFill(step.id, step.layout).ok());
  std::memcpy(slot.image().data(), step.image.data(), step.image.size());
  ASSERT_TRUE(slot.Seal(step.digest, step.run, "/ckpt/gpt", {.drain = drain}).ok());
}

// What a resuming rank does: everything verified, and that it is its own.
absl::StatusOr<Bytes> Accept(const RamSlot& slot, const Step& wanted) {
  absl::StatusOr<SlotContent> content = slot.Read();
  if (!content.ok()) return content.status();
  if (content->id.job_uid != wanted.id.job_uid || content->id.rank != wanted.id.rank ||
      content->id.world_size != wanted.id.world_size || content->id.step != wanted.id.step ||
      content->digest.pieces != wanted.layout.pieces) {
    return absl::DataLossError("another rank's, job's or step's");
  }
  if (absl::Status status = slot.VerifyImage(*content); !status.ok()) return status;
  const auto image = slot.image(*content);
  return Bytes(image.begin(), image.end());
}

bool Whole(const RamSlot& slot, const Step& step) {
  const auto image = Accept(slot, step);
  return image.ok() && *image == step.image && slot.Read()->run == step.run;
}

TEST(RamSlot, GivesBackWhatWasSealed) {
  const Step first = MakeStep(40, 2, 5000, 1), second = MakeStep(41, 2, 5000, 2);
  Memory memory(SlotBytes(first.layout));
  RamSlot slot = memory.slot();
  EXPECT_EQ(slot.Read().status().code(), absl::StatusCode::kNotFound);
  Fill(slot, first);
  ASSERT_TRUE(Whole(slot, first));
  const auto content = slot.Read();
  EXPECT_EQ(content->id, first.id);
  EXPECT_EQ(content->digest, first.digest);
  EXPECT_EQ(content->root, "/ckpt/gpt");
  EXPECT_EQ(content->image_begin % 4096, 0u);
  Fill(slot, second);
  EXPECT_TRUE(Whole(slot, second));
  EXPECT_FALSE(Whole(slot, first));
}

TEST(RamSlot, OfSixteenMiBAndMoreHasAChecksumPerChunk) {
  const Step step = MakeStep(7, 0, 5u << 20, 3);  // 40 MiB
  Memory memory(SlotBytes(step.layout));
  RamSlot slot = memory.slot();
  Fill(slot, step);
  ASSERT_EQ(slot.Read()->digest.file.chunk_crc32c.size(), 3u);
  ASSERT_TRUE(Whole(slot, step));
  memory[slot.Read()->image_begin + kChunkBytes + 5] ^= std::byte{1};
  const absl::Status damaged = slot.VerifyImage(*slot.Read());
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), HasSubstr("bytes 16777216-33554432"));
}

// The other slot is not touched at all, so what counts is that this one never reads as the old step
// with new bytes, nor as the new one before its time.
TEST(RamSlot, ADeathAtAnyStoreLeavesTheOldStepTheNewOneOrNothing) {
  const Step old = MakeStep(40, 1, 300, 4), next = MakeStep(41, 1, 300, 5);
  Memory before(SlotBytes(old.layout));
  RamSlot slot = before.slot();
  Fill(slot, old);

  Memory filling(before);
  RamSlot writer = filling.slot();
  ASSERT_TRUE(writer.BeginFill(next.id, next.layout).ok());
  std::vector<Memory> moments;
  moments.push_back(filling);
  const auto image = writer.image();
  for (size_t at = 0; at < image.size(); at += 8) {
    std::memcpy(image.data() + at, next.image.data() + at, std::min<size_t>(8, image.size() - at));
    moments.push_back(filling);
  }
  Memory copied(filling);
  ASSERT_TRUE(writer.Seal(next.digest, next.run, "/ckpt/gpt", {}).ok());
  ASSERT_TRUE(Whole(writer, next));
  // Seal's stores but the last, in any order: every prefix, and random subsets.
  std::vector<size_t> stores;
  for (size_t at = 0; at < filling.size(); ++at) {
    if (filling[at] != copied[at] && (at < kState || at >= kState + 4)) stores.push_back(at);
  }
  ASSERT_GT(stores.size(), 80u);
  Memory sealing(copied);
  for (const size_t at : stores) {
    sealing[at] = filling[at];
    moments.push_back(sealing);
  }
  std::mt19937_64 random(6);
  for (int i = 0; i < 500; ++i) {
    Memory some(copied);
    for (const size_t at : stores) {
      if (random() % 2) some[at] = filling[at];
    }
    moments.push_back(some);
  }
  for (Memory& moment : moments) {
    EXPECT_EQ(moment.slot().Read().status().code(), absl::StatusCode::kNotFound);
    // Even when damage makes the word say that it is sealed.
    const uint32_t sealed = 2;
    std::memcpy(&moment[kState], &sealed, sizeof(sealed));
    const bool all_there =
        std::memcmp(moment.span().data() + kState + 4, filling.span().data() + kState + 4,
                    filling.size() - kState - 4) == 0 &&
        std::memcmp(moment.span().data(), filling.span().data(), kState) == 0;
    EXPECT_EQ(Whole(moment.slot(), next), all_there);
    EXPECT_FALSE(Whole(moment.slot(), old));
  }
  RecordProperty("moments", static_cast<int>(moments.size()));

  // BeginFill's own stores: the state first, then the header goes, byte by byte.
  Memory begun(before);
  const uint32_t now_filling = 1;
  std::memcpy(&begun[kState], &now_filling, sizeof(now_filling));
  for (size_t at = 0; at < kState; ++at) {
    EXPECT_FALSE(Whole(begun.slot(), old)) << at;
    begun[at] = std::byte{0};
  }
}

struct Damage {
  const char* name;
  // Changes the slot; `other` is whole too: another step of the same rank.
  std::function<void(Memory&, Memory&, std::mt19937_64&)> apply;
};

TEST(RamSlot, TenThousandDamagesAreAllRefused) {
  const Step step = MakeStep(57, 1, 700, 7), older = MakeStep(56, 1, 700, 8);
  Memory good(SlotBytes(step.layout)), stale(SlotBytes(older.layout));
  RamSlot slot = good.slot(), stale_slot = stale.slot();
  Fill(slot, step);
  Fill(stale_slot, older);
  const uint64_t image_begin = slot.Read()->image_begin;
  const uint64_t image_bytes = step.image.size();
  const Damage kDamages[] = {
      {"a bit flips",
       [](Memory& m, Memory&, std::mt19937_64& random) {
         m[random() % m.size()] ^= static_cast<std::byte>(1u << random() % 8);
       }},
      {"a bit of the shard flips",
       [=](Memory& m, Memory&, std::mt19937_64& random) {
         m[image_begin + random() % image_bytes] ^= static_cast<std::byte>(1u << random() % 8);
       }},
      {"a bit of the header flips",
       [](Memory& m, Memory&, std::mt19937_64& random) {
         m[random() % 516] ^= static_cast<std::byte>(1u << random() % 8);
       }},
      {"a run of random bytes",
       [](Memory& m, Memory&, std::mt19937_64& random) {
         const size_t at = random() % m.size();
         for (size_t i = at; i < std::min(m.size(), at + 1 + random() % 200); ++i) {
           m[i] = static_cast<std::byte>(random());
         }
       }},
      {"a page of zeros",
       [](Memory& m, Memory&, std::mt19937_64& random) {
         std::memset(&m[random() % (m.size() / 4096) * 4096], 0, 4096);
       }},
      {"a page of the older step",
       [](Memory& m, Memory& other, std::mt19937_64& random) {
         const size_t at = random() % (m.size() / 4096) * 4096;
         std::memcpy(&m[at], &other[at], 4096);
       }},
      {"the older step's tail",
       [](Memory& m, Memory& other, std::mt19937_64& random) {
         const size_t at = random() % m.size();
         std::memcpy(&m[at], &other[at], m.size() - at);
       }},
      {"the older step's head",
       [](Memory& m, Memory& other, std::mt19937_64& random) {
         std::memcpy(&m[0], &other[0], 1 + random() % (m.size() - 1));
       }},
  };
  std::mt19937_64 random(9);
  int accepted = 0, harmless = 0, cases = 0;
  for (const Damage& damage : kDamages) {
    for (int i = 0; i < 1400; ++i) {
      Memory hurt(good);
      damage.apply(hurt, stale, random);
      const auto image = Accept(hurt.slot(), step);
      ++cases;
      if (!image.ok()) continue;
      // Bytes nobody reads, or marks: the content must be the right one.
      const bool right = *image == step.image && hurt.slot().Read()->run == step.run;
      harmless += right;
      accepted += !right;
      EXPECT_TRUE(right) << damage.name << ", case " << i;
    }
  }
  for (size_t keep = 0; keep < good.size(); keep += 7) {
    ++cases;
    const RamSlot cut(good.span().first(keep));
    const auto image = Accept(cut, step);
    accepted += image.ok() && *image != step.image;
    EXPECT_TRUE(!image.ok() || keep >= image_begin + image_bytes) << "cut to " << keep;
  }
  EXPECT_EQ(accepted, 0);
  EXPECT_GE(cases, 10'000);
  EXPECT_GT(harmless, 0);
  std::printf("[ damages ] %d cases, %d in bytes that nobody reads, %d accepted\n", cases, harmless,
              accepted);
}

TEST(RamSlot, OfAnotherRankJobOrStepIsNotTaken) {
  const Step mine = MakeStep(57, 1, 700, 10);
  Step others[] = {MakeStep(57, 2, 700, 10), MakeStep(56, 1, 700, 10), MakeStep(57, 1, 700, 10),
                   MakeStep(57, 1, 700, 10), MakeStep(57, 1, 701, 10)};
  others[2].id.job_uid = "gpt-2-abc";
  others[3].id.world_size = 8;
  for (const Step& other : others) {
    Memory memory(SlotBytes(other.layout));
    RamSlot slot = memory.slot();
    Fill(slot, other);
    EXPECT_TRUE(Whole(slot, other));
    EXPECT_FALSE(Accept(slot, mine).ok());
  }
}

TEST(RamSlot, IsNotRefilledWhileSomebodyReadsIt) {
  const Step first = MakeStep(40, 0, 100, 11), second = MakeStep(41, 0, 100, 12);
  Memory memory(SlotBytes(first.layout));
  RamSlot slot = memory.slot();
  EXPECT_FALSE(slot.Hold(kHeldByReplication)) << "nothing is in it yet";
  EXPECT_FALSE(slot.held());
  Fill(slot, first);
  ASSERT_TRUE(slot.Hold(kHeldByReplication));
  EXPECT_EQ(slot.BeginFill(second.id, second.layout).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Whole(slot, first)) << "the refusal changes nothing";
  slot.Release(kHeldByReplication);
  ASSERT_TRUE(slot.BeginFill(second.id, second.layout).ok());
  EXPECT_FALSE(slot.Hold(kHeldByDrain)) << "it is being filled";
}

TEST(RamSlot, ToBeDrainedWaitsForThat) {
  const Step first = MakeStep(40, 0, 100, 13), second = MakeStep(41, 0, 100, 14);
  Memory memory(SlotBytes(first.layout));
  RamSlot slot = memory.slot();
  Fill(slot, first, /*drain=*/true);
  EXPECT_EQ(slot.marks(), static_cast<uint32_t>(kSlotDrainWanted));
  EXPECT_EQ(slot.BeginFill(second.id, second.layout).code(), absl::StatusCode::kUnavailable);
  slot.Mark(kSlotPersisted);
  EXPECT_TRUE(slot.DrainError().ok());
  Fill(slot, second, /*drain=*/true);
  EXPECT_EQ(slot.marks(), static_cast<uint32_t>(kSlotDrainWanted))
      << "the marks were the old step's";
  slot.GiveUpDrain(absl::ResourceExhaustedError("save x: no space left"));
  EXPECT_EQ(slot.DrainError().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(slot.DrainError().message()), HasSubstr("no space left"));
  Fill(slot, first);
  EXPECT_TRUE(slot.DrainError().ok());
}

TEST(RamSlot, AMarkWakesWhoWaitsForIt) {
  const Step step = MakeStep(40, 0, 100, 15);
  Memory memory(SlotBytes(step.layout));
  RamSlot slot = memory.slot();
  Fill(slot, step, /*drain=*/true);
  std::thread worker([&memory] { memory.slot().Mark(kSlotPersisted); });
  while ((slot.WaitForMark(kSlotPersisted | kSlotDrainGivenUp, 10'000) & kSlotPersisted) == 0) {
  }
  worker.join();
}

TEST(RamSlot, CountsTheAttemptsThatWentOnFromIt) {
  const Step step = MakeStep(40, 0, 100, 16);
  Memory memory(SlotBytes(step.layout));
  RamSlot slot = memory.slot();
  Fill(slot, step);
  EXPECT_EQ(slot.adopted_by(), 0u);
  slot.GoOn(4);
  slot.GoOn(5);
  EXPECT_EQ(slot.resumes(), 2u);
  EXPECT_EQ(slot.adopted_by(), 5u);
  slot.ForgetResumes();
  EXPECT_EQ(slot.resumes(), 0u);
  slot.GoOn(6);
  EXPECT_TRUE(Whole(slot, step));
  Fill(slot, step);
  EXPECT_EQ(slot.resumes(), 0u);
  EXPECT_EQ(slot.adopted_by(), 0u);
}

TEST(RamSlot, TooSmallIsSaid) {
  const Step step = MakeStep(40, 0, 100, 17);
  Memory memory(SlotBytes(step.layout) - 4096);
  EXPECT_EQ(memory.slot().BeginFill(step.id, step.layout).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(SlotFile, KeepsItsContentForTheNextProcess) {
  const TempFolder folder;
  const Step step = MakeStep(40, 5, 1000, 18);
  const std::string path = folder.path() + "/" + SlotFileName(5, 'a');
  const uint64_t bytes = SlotBytes(step.layout);
  {
    auto file = SlotFile::Reserve(path, bytes);
    ASSERT_TRUE(file.ok()) << file.status();
    Fill(file->slot(), step);
  }
  {
    auto again = SlotFile::Reserve(path, bytes);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(Whole(again->slot(), step));
  }
  auto opened = SlotFile::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(Whole(opened->slot(), step));
  auto larger = SlotFile::Reserve(path, bytes + 4096);
  ASSERT_TRUE(larger.ok()) << larger.status();
  EXPECT_EQ(larger->slot().state(), SlotState::kEmpty) << "another layout begins empty";
}

TEST(SlotFile, ThatIsNoneIsRefused) {
  const TempFolder folder;
  EXPECT_EQ(SlotFile::Open(folder.path() + "/r00000.a").status().code(),
            absl::StatusCode::kNotFound);
  const std::string path = folder.path() + "/r00001.a";
  std::filesystem::create_directory(path);
  EXPECT_FALSE(SlotFile::Open(path).ok());
  const std::string cut = folder.path() + "/r00002.a";
  const int fd = open(cut.c_str(), O_CREAT | O_WRONLY, 0600);
  ASSERT_EQ(write(fd, "MUSTSLOT", 8), 8);
  close(fd);
  EXPECT_EQ(SlotFile::Open(cut).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SlotFile, NamesGoBothWays) {
  EXPECT_EQ(SlotFileName(5, 'a'), "r00005.a");
  EXPECT_EQ(SlotFileName(123456, 'b'), "r123456.b");
  for (const uint32_t rank : {0u, 5u, 99999u, 100000u, 4000000000u}) {
    const auto id = ParseSlotFileName(SlotFileName(rank, 'b'));
    ASSERT_TRUE(id.has_value());
    EXPECT_EQ(id->rank, rank);
    EXPECT_EQ(id->letter, 'b');
  }
  for (const char* name : {"", "r00005", "r00005.", "r00005.c", "r5.a", "r000005.a", "x00005.a",
                           "r-0005.a", "r00005.ab", "r99999999999.a"}) {
    EXPECT_FALSE(ParseSlotFileName(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace muster::checkpoint
