// What lies in RAM slots between two attempts is damaged at random: nothing of it is ever believed,
// another slot's step or storage answers, and training ends in the bits of the run that never
// stopped. MUSTER_RAM_DAMAGE_ROUNDS asks for more rounds than 12.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "checkpoint/slot_file.h"
#include "checkpoint/store.h"
#include "tests/unit/loop/fake_link.h"
#include "tests/unit/loop/job.h"

namespace muster::trainer::loop {
namespace {

constexpr int kRanks = 4;
constexpr int kSteps = 12;

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class RamDamage : public testing::Test {
 protected:
  RamDamage() { std::filesystem::create_directory(vault_); }
  ~RamDamage() override { std::filesystem::remove_all(vault_); }

  std::string PathOf(uint64_t rank, uint64_t letter) const {
    return vault_ + "/" +
           checkpoint::SlotFileName(static_cast<uint32_t>(rank), checkpoint::kSlotLetters[letter]);
  }

  Job MakeJob(uint64_t attempt, const std::string& name) const {
    Job job;
    job.mesh = "data: 2, tensor: 2";
    job.steps = kSteps;
    job.save_every = 4;
    job.ram_every = 1;
    job.checkpoints = folder_.path() + "/" + name;
    job.attempt = attempt;
    job.final_save_seconds = 30;
    job.vault = [this](int) { return rank::VaultOptions{vault_, 1ull << 30, 0, false}; };
    return job;
  }

  // An attempt that is told to stop; with storage that takes nothing any more its state after the
  // last commit is in memory alone.
  void BreakOff(uint64_t attempt, int steps, FakeLink::Commits commits) {
    FakeLink link(commits);
    link.stop_after_steps = steps;
    Job job = MakeJob(attempt, "run");
    job.final_save_seconds = 0;
    job.link = [&](int rank) { return rank == 0 ? &link : FakeLink::Silent(); };
    const JobOutcome outcome = RunJob(job);
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
  }

  std::string DamageOne() {
    const uint64_t rank = Below(kRanks), letter = Below(2);
    const std::string path = PathOf(rank, letter);
    const std::string name = std::filesystem::path(path).filename().string();
    std::string bytes = Bytes(path);
    const uint64_t kind = bytes.empty() ? 5 : Below(7);
    switch (kind) {
      case 0: {  // most of it is the shard; half the time the header and what is behind it
        const uint64_t at =
            Below(Below(2) == 0 ? bytes.size() : std::min<uint64_t>(bytes.size(), 8192));
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
        Write(path, bytes);
        return fmt::format("{}: a bit of byte {} flips", name, at);
      }
      case 1:
        bytes.resize(Below(bytes.size()));
        Write(path, bytes);
        return fmt::format("{}: cut to {} bytes", name, bytes.size());
      case 2: {
        const std::string other = PathOf((rank + 1 + Below(kRanks - 1)) % kRanks, Below(2));
        Write(path, Bytes(other));
        Write(other, bytes);
        return fmt::format("{} and {} change places", name,
                           std::filesystem::path(other).filename().string());
      }
      case 3:
        std::filesystem::remove(path);
        return name + " is gone";
      case 4: {  // whole, but of an earlier attempt
        const auto old = old_.find(path);
        if (old == old_.end()) return name + ": there is no older one";
        Write(path, old->second);
        return name + " is what it was in an earlier attempt";
      }
      case 5:
        Write(path, std::string(Below(20'000), static_cast<char>(Below(256))));
        return name + " is one byte over and over";
      default: {
        const uint64_t begin = Below(bytes.size());
        const uint64_t count = std::min<uint64_t>(4096, bytes.size() - begin);
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), count, '\0');
        Write(path, bytes);
        return fmt::format("{}: {} bytes from {} on are zero", name, count, begin);
      }
    }
  }

  uint64_t Below(uint64_t bound) { return dice_() % bound; }

  void KeepForLater() {
    old_.clear();
    for (uint64_t rank = 0; rank < kRanks; ++rank) {
      for (uint64_t letter = 0; letter < 2; ++letter) {
        if (const std::string bytes = Bytes(PathOf(rank, letter)); !bytes.empty()) {
          old_[PathOf(rank, letter)] = bytes;
        }
      }
    }
  }

  TempFolder folder_;
  const std::string vault_ =
      "/dev/shm/" + std::filesystem::path(folder_.path()).filename().string();
  std::mt19937_64 dice_;
  std::map<std::string, std::string> old_;  // path → bytes
};

TEST_F(RamDamage, OfAnyKindIsNeverBelieved) {
  Job plain = MakeJob(1, "undisturbed");
  plain.vault = nullptr;
  ASSERT_TRUE(RunJob(plain).ok());
  const auto expected = ReadTensors(CheckpointOf(plain.checkpoints, kSteps));
  const char* asked = std::getenv("MUSTER_RAM_DAMAGE_ROUNDS");
  const int rounds = asked == nullptr ? 12 : std::atoi(asked);
  int damages = 0, from_ram = 0, from_storage = 0;
  for (int seed = 1; seed <= rounds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    dice_.seed(static_cast<uint64_t>(seed));
    std::filesystem::remove_all(vault_);
    std::filesystem::create_directory(vault_);
    std::filesystem::remove_all(folder_.path() + "/run");
    // Attempts 1 and 2 go some steps each; the slots of the first may come back to haunt us.
    BreakOff(1, 5 + static_cast<int>(Below(3)), FakeLink::Commits::kPermitted);
    KeepForLater();
    BreakOff(2, 1 + static_cast<int>(Below(3)), FakeLink::Commits::kNeverAnswered);
    std::string told;
    for (uint64_t i = 0, count = 1 + Below(4); i < count; ++i, ++damages) {
      told += DamageOne() + "\n";
    }
    SCOPED_TRACE(told);
    Job job = MakeJob(3, "run");
    const auto stored = checkpoint::ListCheckpoints(job.checkpoints);
    ASSERT_TRUE(stored.ok()) << stored.status();
    uint64_t newest = 0;
    for (const auto& entry : *stored) {
      if (entry.state == checkpoint::CheckpointState::kCommitted) {
        newest = std::max(newest, entry.id.step);
      }
    }
    const JobOutcome outcome = RunJob(job);
    ASSERT_TRUE(outcome.ok()) << outcome.Problems();
    EXPECT_GE(outcome.first()->first_step, newest);
    const bool ram = !outcome.out.empty() && outcome.out[0].find("(RAM") != std::string::npos;
    ++(ram ? from_ram : from_storage);
    ASSERT_EQ(ReadTensors(CheckpointOf(job.checkpoints, kSteps)), expected)
        << outcome.out[0] << "\n"
        << outcome.Problems();
  }
  EXPECT_GT(from_ram, 0);
  EXPECT_GT(from_storage, 0);
  std::printf("[ damages  ] %d in %d rounds: %d went on from memory, %d from storage\n", damages,
              rounds, from_ram, from_storage);
}

}  // namespace
}  // namespace muster::trainer::loop
