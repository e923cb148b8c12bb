// Parity between nodes: that of any one lost member everything is computed bit for bit, of two
// nothing; that nothing damaged is ever believed; which rows stay; what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/status.h"
#include "tests/support/parity_nodes.h"
#include "worker/vault/fetch.h"
#include "worker/vault/rebuild.h"
#include "worker/vault/replicator.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(ParityGroup, EveryByteOfASlotGoesToOneOtherMember) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Dice dice(seed);
    const size_t members = kGroupMembersMin + dice() % (kGroupMembersMax - kGroupMembersMin + 1);
    const uint64_t bytes = (1 + dice() % 200) * checkpoint::kSlotPageBytes;
    const size_t from = dice() % members;
    std::vector<ByteRange> chunks;
    for (size_t holder = 0; holder < members; ++holder) {
      if (holder != from) chunks.push_back(ChunkOf(bytes, members, from, holder));
    }
    std::sort(chunks.begin(), chunks.end(),
              [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
    uint64_t next = 0, longest = 0;
    for (const ByteRange& chunk : chunks) {
      ASSERT_LE(chunk.begin, chunk.end) << "seed " << seed;
      if (chunk.size() == 0) continue;
      ASSERT_EQ(chunk.begin, next) << "seed " << seed;
      next = chunk.end;
      longest = std::max(longest, chunk.size());
    }
    EXPECT_EQ(next, bytes) << "seed " << seed;
    EXPECT_LE(longest, bytes / (members - 1) + checkpoint::kSlotPageBytes) << "seed " << seed;
  }
}

TEST(Parity, OfAnyOneMemberEverySlotIsComputedBitForBit) {
  int slots = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    const size_t members = 2 + dice() % 5;
    const size_t lost = dice() % members;
    Group group(dice, members);
    group.SaveAndSendAll(1, 5, 'a');
    group.SaveAndSendAll(1, 6, 'b');
    if (HasFatalFailure()) return;
    group.net().PowerOff(Group::Name(lost));
    TestNode fresh;
    const Fetched fetched = FetchSlots(group.OrderFor(fresh, lost, 2), group.net().dial(), Always);
    const RankRun run = group.members()[lost].run;
    ASSERT_EQ(fetched.computed, 2 * run.ranks) << testing::PrintToString(fetched.troubles);
    EXPECT_THAT(fetched.troubles, IsEmpty());
    EXPECT_TRUE(Holds(fresh, run, {1, 5}));
    EXPECT_TRUE(Holds(fresh, run, {1, 6}));
    group.ExpectAsSaved(fresh, lost);
    slots += static_cast<int>(fetched.computed);
  }
  printf("60 groups, %d slots computed\n", slots);
}

TEST(Parity, OfTwoLostMembersNothingIsComputedAndALineSaysWhy) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    const size_t members = 3 + dice() % 4;
    Group group(dice, members);
    group.SaveAndSendAll(1, 5, 'a');
    if (HasFatalFailure()) return;
    const size_t lost = dice() % members;
    const size_t other = (lost + 1 + dice() % (members - 1)) % members;
    group.net().PowerOff(Group::Name(lost));
    group.net().PowerOff(Group::Name(other));
    TestNode fresh;
    const Fetched fetched = FetchSlots(group.OrderFor(fresh, lost, 2), group.net().dial(), Always);
    EXPECT_EQ(fetched.computed, 0u);
    ASSERT_THAT(fetched.troubles, SizeIs(1));
    EXPECT_THAT(fetched.troubles[0], HasSubstr("storage"));
    const RankRun run = group.members()[lost].run;
    for (uint32_t rank = run.first_rank; run.has(rank); ++rank) {
      EXPECT_EQ(fresh.At(rank, 'a'), Step());
    }
  }
}

TEST(Parity, AStepThatOneRankHasNotGivenIsNotComputed) {
  Dice dice(1);
  Group group(dice, 4);
  group.SaveAndSendAll(1, 5, 'a');
  const uint32_t behind = group.ranks() - 1;
  for (uint32_t rank = 0; rank < behind; ++rank) {
    ASSERT_TRUE(group.Send(group.Save(1, 6, rank, 'b'), 1).ok());
  }
  group.net().PowerOff("n0");
  TestNode fresh;
  FetchSlots(group.OrderFor(fresh, 0, 2), group.net().dial(), Always);
  EXPECT_TRUE(Holds(fresh, group.members()[0].run, {1, 5}));
  EXPECT_EQ(fresh.At(0, 'b'), Step()) << "its row is not whole";
}

// The protocol of the ranks (checkpoint_saver.h) against the rows: whatever is lost whenever.
TEST(Parity, AtEveryMomentOneMemberCanBeLost) {
  int moments = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    const size_t members = 2 + dice() % 4;
    Group group(dice, members);
    std::vector<std::map<char, uint64_t>> slots(group.ranks());  // letter → step
    uint64_t common = 0, step = 0;
    // Sends chunks of all ranks in any order and stops after some.
    const auto send_some = [&](std::vector<SlotFile>& files, bool all) {
      std::vector<std::pair<size_t, ChunkOffer>> chunks;
      for (size_t i = 0; i < files.size(); ++i) {
        for (ChunkOffer& offer : ChunkOffers(*HeadOf(files[i]), group.members(), 1, files[i])) {
          chunks.emplace_back(i, std::move(offer));
        }
      }
      std::shuffle(chunks.begin(), chunks.end(), dice);
      size_t count = all ? chunks.size() : dice() % chunks.size();
      for (const auto& [i, offer] : chunks) {
        if (count-- == 0) break;
        const auto peer = group.net().dial()(group.members()[offer.holder].address);
        uint64_t parts = all || count > 0 ? 1'000'000 : dice() % 4;
        const absl::Status sent =
            SendChunk(*peer, offer, files[i], [&parts] { return parts-- > 0; });
        ASSERT_TRUE(sent.ok() || absl::IsCancelled(sent)) << sent;
      }
    };
    const int saves = 1 + static_cast<int>(dice() % 8);
    for (int save = 0; save < saves; ++save) {
      ++step;
      const bool last = save + 1 == saves;
      std::vector<SlotFile> files;
      for (uint32_t rank = 0; rank < group.ranks(); ++rank) {
        if (last && dice() % 5 == 0) continue;  // it did not come to that
        // A slot that does not hold the step all have.
        char letter = dice() % 2 == 0 ? 'a' : 'b';
        if (common != 0 && slots[rank][letter] == common) letter = letter == 'a' ? 'b' : 'a';
        files.push_back(group.Save(1, step, rank, letter));
        slots[rank][letter] = step;
      }
      // Given up now and then, as by a save for storage that takes the slot.
      const bool through = !last && dice() % 3 != 0;
      send_some(files, through);
      if (HasFatalFailure()) return;
      if (through) common = step;
    }
    const size_t lost = dice() % members;
    group.net().PowerOff(Group::Name(lost));
    TestNode fresh;
    FetchSlots(group.OrderFor(fresh, lost, 2), group.net().dial(), Always);
    group.ExpectAsSaved(fresh, lost);
    if (common == 0) continue;
    ++moments;
    EXPECT_TRUE(Holds(fresh, group.members()[lost].run, {1, common})) << "step " << common;
  }
  EXPECT_GT(moments, 30);
}

TEST(Parity, GoesWithTheAttemptsAndTheirGroups) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    const size_t members = 3 + dice() % 3;
    Group group(dice, members);
    group.SaveAndSendAll(1, 5, 'a');
    group.SaveAndSendAll(1, 6, 'b');
    if (HasFatalFailure()) return;
    // A member goes, another comes in its place, and all go on from step 6.
    const size_t lost = dice() % members;
    const std::string name = Group::Name(lost);
    group.net().PowerOff(name);
    group.Come(2);
    TestNode& fresh = group.net()[name];
    FetchSlots(group.OrderFor(fresh, lost, 2), group.net().dial(), Always);
    ASSERT_TRUE(Holds(fresh, group.members()[lost].run, {1, 6}));
    for (uint32_t rank = 0; rank < group.ranks(); ++rank) {
      auto file =
          SlotFile::Open(group.NodeOf(rank).folder + "/" + checkpoint::SlotFileName(rank, 'b'));
      ASSERT_TRUE(file.ok());
      file->slot().GoOn(2);
      ASSERT_TRUE(group.Send(*file, 2).ok());
    }
    if (dice() % 2 == 0) group.SaveAndSendAll(2, 7, 'a');
    // Then another one.
    const size_t next = (lost + 1) % members;
    group.net().PowerOff(Group::Name(next));
    TestNode other;
    FetchSlots(group.OrderFor(other, next, 3, 2), group.net().dial(), Always);
    const RankRun run = group.members()[next].run;
    EXPECT_TRUE(Holds(other, run, {1, 6}));
    const auto file =
        SlotFile::Open(other.folder + "/" + checkpoint::SlotFileName(run.first_rank, 'b'));
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(file->slot().adopted_by(), 2u) << "else nobody may go on from it";
    EXPECT_EQ(file->slot().resumes(), 1u);
    group.ExpectAsSaved(other, next);
  }
}

// Flips, cuts or blanks something of a file.
void Damage(const std::string& path, Dice& dice) {
  const uint64_t size = std::filesystem::file_size(path);
  const uint64_t at = dice() % size;
  if (dice() % 6 == 0) return std::filesystem::resize_file(path, at);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  Bytes bytes(dice() % 2 == 0 ? 1 : std::min<uint64_t>(size - at, 1 + dice() % 9000));
  const auto data = reinterpret_cast<char*>(bytes.data());
  const auto count = static_cast<std::streamsize>(bytes.size());
  file.seekg(static_cast<std::streamoff>(at)).read(data, count);
  bytes[0] ^= std::byte{static_cast<unsigned char>(1u << dice() % 8)};
  if (dice() % 3 == 0) std::fill(bytes.begin(), bytes.end(), std::byte{0});
  file.seekp(static_cast<std::streamoff>(at)).write(data, count);
}

TEST(Parity, NothingDamagedIsEverBelieved) {
  int computed = 0, refused = 0;
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    const size_t members = 2 + dice() % 4;
    Group group(dice, members);
    group.SaveAndSendAll(1, 5, 'a');
    if (HasFatalFailure()) return;
    const size_t lost = dice() % members;
    const size_t victim = (lost + 1 + dice() % (members - 1)) % members;
    group.net().PowerOff(Group::Name(lost));
    for (int i = 0; i < 3; ++i) {
      std::vector<std::string> paths;
      for (const auto& one :
           std::filesystem::directory_iterator(group.net()[Group::Name(victim)].folder)) {
        if (one.file_size() > 0) paths.push_back(one.path());
      }
      std::sort(paths.begin(), paths.end());
      if (!paths.empty()) Damage(paths[dice() % paths.size()], dice);
    }
    TestNode fresh;
    const Fetched fetched = FetchSlots(group.OrderFor(fresh, lost, 2), group.net().dial(), Always);
    const RankRun run = group.members()[lost].run;
    for (uint32_t rank = run.first_rank; run.has(rank); ++rank) {
      const bool sealed =
          SlotFile::Open(fresh.folder + "/" + checkpoint::SlotFileName(rank, 'a')).ok() &&
          fresh.intake->List(kJob, rank, 1).size() == 1;
      EXPECT_EQ(sealed, fresh.At(rank, 'a') == Step(1, 5));
      sealed ? ++computed : ++refused;
    }
    EXPECT_EQ(fetched.computed < run.ranks, !fetched.troubles.empty());
    group.ExpectAsSaved(fresh, lost);
  }
  printf("750 damages: %d slots computed, of bytes that were not hit; %d refused, 0 wrong\n",
         computed, refused);
  EXPECT_GT(refused, 50);
}

TEST(Parity, NothingDamagedOnTheWayIsEverBelieved) {
  int computed = 0, refused = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Group group(dice, 2 + dice() % 4);
    uint64_t countdown = 1 + dice() % 40;
    group.net().spoil = [&](uint64_t, Bytes& data) {
      if (data.empty() || countdown == 0 || --countdown > 0) return;
      if (dice() % 3 == 0) {
        data.resize(dice() % data.size());
      } else {
        data[dice() % data.size()] ^= std::byte{static_cast<unsigned char>(1u << dice() % 8)};
      }
    };
    for (uint32_t rank = 0; rank < group.ranks(); ++rank) {
      const SlotFile file = group.Save(1, 5, rank, 'a');
      absl::Status sent = group.Send(file, 1);
      if (absl::IsDataLoss(sent)) sent = group.Send(file, 1);  // from where it was
      ASSERT_TRUE(sent.ok()) << sent;
    }
    const size_t lost = dice() % group.members().size();
    group.net().PowerOff(Group::Name(lost));
    TestNode fresh;
    const Fetched fetched = FetchSlots(group.OrderFor(fresh, lost, 2), group.net().dial(), Always);
    const RankRun run = group.members()[lost].run;
    EXPECT_EQ(fetched.computed < run.ranks, !fetched.troubles.empty());
    computed += static_cast<int>(fetched.computed);
    refused += static_cast<int>(run.ranks - fetched.computed);
    group.ExpectAsSaved(fresh, lost);
  }
  printf("200 groups, a damage on the way: %d slots computed, %d refused, 0 wrong\n", computed,
         refused);
}

TEST(ParityRows, RefuseWhatIsNotForThisNodeNow) {
  Dice dice(3);
  Group group(dice, 3);
  const SlotFile file = group.Save(2, 30, 0, 'a');
  const SlotHead head = *HeadOf(file);
  const auto offer = [&](uint64_t attempt) {
    return ChunkOffers(head, group.members(), attempt, file).front();
  };
  ParityRows& rows = group.net()["n1"].intake->rows();
  EXPECT_TRUE(absl::IsUnavailable(rows.Offer(offer(2)).status())) << "still the one before";
  group.Come(3);
  EXPECT_TRUE(absl::IsFailedPrecondition(rows.Offer(offer(2)).status()))
      << "an attempt that was cut off goes on saving";
  group.Come(2);
  ChunkOffer wrong = offer(2);
  wrong.holder = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(rows.Offer(wrong).status())) << "another member";
  wrong.holder = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(rows.Offer(wrong).status())) << "of itself";
  wrong.holder = 9;
  EXPECT_FALSE(rows.Offer(wrong).ok());
  wrong = offer(2);
  wrong.group[0] = wrong.group[1];
  EXPECT_TRUE(absl::IsInvalidArgument(rows.Offer(wrong).status())) << "a rank in two members";
  wrong = offer(2);
  wrong.slot.id.rank = 1000;
  EXPECT_TRUE(absl::IsInvalidArgument(rows.Offer(wrong).status()));
  wrong = offer(2);
  wrong.slot.id.job_uid = "../" + std::string(kJob);
  EXPECT_FALSE(rows.Offer(wrong).ok());
  wrong = offer(2);
  wrong.slot.bytes = uint64_t{1} << 60;
  EXPECT_TRUE(absl::IsResourceExhausted(rows.Offer(wrong).status()));
  EXPECT_THAT(rows.List(".."), IsEmpty());
  EXPECT_EQ(*rows.Offer(offer(2)), 0u);
  const Bytes bytes(10);
  EXPECT_TRUE(absl::IsAborted(rows.Take(offer(2), 10, bytes))) << "not the next ones";
  EXPECT_TRUE(rows.Take(offer(2), 0, bytes).ok());
  EXPECT_TRUE(absl::IsAborted(rows.Take(offer(2), 0, bytes))) << "twice";
  EXPECT_EQ(*rows.Offer(offer(2)), 10u);
  EXPECT_THAT(rows.List(kJob), IsEmpty());
}

TEST(ParityRows, AStepThatIsLateDoesNotTakeThePlaceOfANewerOne) {
  Dice dice(5);
  Group group(dice, 2);
  const SlotFile late = group.Save(1, 5, 0, 'a');
  group.SaveAndSendAll(1, 6, 'b');
  group.SaveAndSendAll(1, 7, 'a');
  EXPECT_TRUE(absl::IsOutOfRange(group.Send(late, 1)) || HeadOf(late)->id.step == 7);
  ChunkOffer offer = ChunkOffers(*HeadOf(late), group.members(), 1, late).front();
  offer.slot.id.step = 5;
  EXPECT_TRUE(absl::IsOutOfRange(group.net()["n1"].intake->rows().Offer(offer).status()));
}

TEST(ParityRows, SlotsOfOlderAttemptsGoWhenEveryRankHasNewerOnes) {
  Dice dice(7);
  Group group(dice, 2);
  TestNode& node = group.net()["n0"];
  group.Come(2);
  const uint32_t elsewhere = group.members()[1].run.first_rank;
  node.Seal(1, 10, elsewhere, 'a');  // it ran here before
  group.SaveAndSendAll(2, 11, 'a');
  EXPECT_EQ(node.At(elsewhere, 'a'), Step(1, 10));
  group.SaveAndSendAll(2, 12, 'b');
  EXPECT_EQ(node.At(elsewhere, 'a'), Step());
  EXPECT_EQ(node.At(0, 'a'), Step(2, 11));
}

TEST(ParityRows, AWorkersDeathEndsWhatWasNotWhole) {
  Dice dice(9);
  Group group(dice, 3);
  group.SaveAndSendAll(1, 5, 'a');
  ASSERT_TRUE(group.Send(group.Save(1, 6, 0, 'b'), 1).ok());
  Vault vault = *Vault::Open(
      {.folder = group.net()["n1"].memory.path() + "/vault", .bytes = 64 << 20, .slots = 1});
  group.net()["n1"].intake = std::make_unique<Intake>(vault);
  group.Come(1);
  const size_t places = group.net()["n1"].intake->rows().List(kJob).size();
  EXPECT_GT(places, 0u) << "those of step 5";
  group.SaveAndSendAll(1, 7, 'b');
  group.net().PowerOff("n0");
  TestNode fresh;
  FetchSlots(group.OrderFor(fresh, 0, 2), group.net().dial(), Always);
  EXPECT_TRUE(Holds(fresh, group.members()[0].run, {1, 7}));
}

TEST(Replicator, GivesChunksToTheGroupAndMarksTheSlot) {
  Dice dice(11);
  Group group(dice, 4);
  std::vector<std::unique_ptr<Replicator>> replicators;
  for (const ParityMember& member : group.members()) {
    auto& one = replicators.emplace_back(
        std::make_unique<Replicator>(group.net().dial(), std::chrono::seconds(10)));
    ASSERT_TRUE(one->Start().ok());
    one->Watch(group.net()[member.node].folder,
               {"", "", {1, member.run.first_rank, member.run.ranks}, group.members()});
  }
  std::vector<SlotFile> files;
  for (uint32_t rank = 0; rank < group.ranks(); ++rank) {
    files.push_back(group.NodeOf(rank).Seal(1, 5, rank, 'a', {.replica = true}));
    files.back().Nudge();
  }
  for (const SlotFile& file : files) {
    EXPECT_EQ(WaitForReplicaMark(file), static_cast<uint32_t>(checkpoint::kSlotReplicated));
  }
  // All are marked: so all rows are whole.
  for (size_t i = 0; i < group.members().size(); ++i) {
    uint32_t places = 0;
    for (size_t j = 0; j < group.members().size(); ++j) {
      if (j != i) places = std::max(places, group.members()[j].run.ranks);
    }
    EXPECT_THAT(group.net()[Group::Name(i)].intake->rows().List(kJob), SizeIs(places));
  }
}

TEST(Replicator, AMemberThatDoesNotAnswerIsGivenUpAndTheOthersHaveTheirChunks) {
  Dice dice(13);
  Group group(dice, 3);
  group.net()["n2"].intake->Forget(kJob);  // it knows of no attempt
  Replicator replicator(group.net().dial(), std::chrono::milliseconds(0));
  ASSERT_TRUE(replicator.Start().ok());
  const RankRun run = group.members()[0].run;
  replicator.Watch(group.net()["n0"].folder,
                   {"", "", {1, run.first_rank, run.ranks}, group.members()});
  const SlotFile file = group.net()["n0"].Seal(1, 5, 0, 'a', {.replica = true});
  file.Nudge();
  EXPECT_EQ(WaitForReplicaMark(file), static_cast<uint32_t>(checkpoint::kSlotReplicaGivenUp));
  const ChunkOffer offer = ChunkOffers(*HeadOf(file), group.members(), 1, file).front();
  EXPECT_EQ(*group.net()["n1"].intake->rows().Offer(offer), offer.chunk().size());
}

}  // namespace
}  // namespace muster::worker::vault
