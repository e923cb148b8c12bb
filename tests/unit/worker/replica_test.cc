// Slots between nodes: what is taken in and what is refused, that nothing damaged on the way is
// ever accepted, which slots are fetched, and the threads that send and fetch them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "common/status.h"
#include "tests/support/vault_nodes.h"
#include "worker/vault/fetch.h"
#include "worker/vault/intake.h"
#include "worker/vault/replicator.h"

namespace muster::worker::vault {
namespace {

using checkpoint::SlotFile;
using checkpoint::SlotId;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using Step = std::pair<uint64_t, uint64_t>;

absl::Status Copy(const SlotFile& file, TestNode& to, uint64_t attempt,
                  DirectPeer::Spoil spoil = {}) {
  return DirectPeer(*to.intake, std::move(spoil)).Put(*HeadOf(file), attempt, file, Always);
}

TEST(Intake, ACopyIsTheSlotItselfWithoutItsMarks) {
  TestNode from, to;
  to.intake->SetOwn(kJob, {.attempt = 2, .first_rank = 2, .ranks = 2});
  SlotFile file = from.Seal(2, 30, 1, 'b', {.drain = true, .replica = true});
  EXPECT_TRUE(Copy(file, to, 2).ok());
  const auto copy = SlotFile::Open(to.folder + "/r00001.b");
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(to.At(1, 'b'), Step(2, 30));
  EXPECT_EQ(ImageOf(*copy), ImageOf(file));
  EXPECT_EQ(copy->slot().marks(), 0u);
  EXPECT_FALSE(copy->slot().held());
}

TEST(Intake, WhatIsThereAlreadyOnlyLearnsWhoWentOnFromIt) {
  TestNode from, to;
  to.intake->SetOwn(kJob, {2, 2, 2});
  SlotFile file = from.Seal(1, 30, 1, 'a');
  EXPECT_FALSE(*to.intake->Offer(*HeadOf(file), 2));
  ASSERT_TRUE(Copy(file, to, 2).ok());
  file.slot().GoOn(2, true);
  EXPECT_TRUE(file.slot().awaits_replica()) << "its copy is to know";
  EXPECT_TRUE(*to.intake->Offer(*HeadOf(file), 2));
  const auto copy = SlotFile::Open(to.folder + "/r00001.a");
  EXPECT_EQ(copy->slot().adopted_by(), 2u);
  EXPECT_EQ(copy->slot().resumes(), 1u);
  // The same step in the other file is another matter: there it would be written over at once.
  const SlotFile other = from.Seal(1, 30, 1, 'b');
  EXPECT_FALSE(*to.intake->Offer(*HeadOf(other), 2));
}

TEST(Intake, RefusesWhatIsNotForThisNodeNow) {
  TestNode from, to;
  const SlotFile file = from.Seal(2, 30, 1, 'a');
  const SlotHead head = *HeadOf(file);
  EXPECT_TRUE(absl::IsUnavailable(to.intake->Offer(head, 2).status())) << "not heard of yet";
  to.intake->SetOwn(kJob, {1, 2, 2});
  EXPECT_TRUE(absl::IsUnavailable(to.intake->Offer(head, 2).status())) << "still the one before";
  to.intake->SetOwn(kJob, {3, 2, 2});
  EXPECT_TRUE(absl::IsFailedPrecondition(to.intake->Offer(head, 2).status()))
      << "an attempt that was cut off goes on saving";
  to.intake->SetOwn(kJob, {2, 0, 2});
  EXPECT_TRUE(absl::IsFailedPrecondition(to.intake->Offer(head, 2).status())) << "its own rank";
  EXPECT_EQ(to.At(1, 'a'), Step(0, 0));

  to.intake->SetOwn(kJob, {2, 2, 2});
  SlotHead evil = head;
  evil.id.job_uid = "../" + std::string(kJob);
  EXPECT_FALSE(to.intake->Offer(evil, 2).ok());
  EXPECT_FALSE(to.intake->Begin(evil, 2).ok());
  EXPECT_THAT(to.intake->List("..", 0, 9), IsEmpty());
  evil = head;
  evil.bytes = uint64_t{1} << 62;
  EXPECT_TRUE(absl::IsResourceExhausted(to.intake->Begin(evil, 2).status()));
  evil.bytes = 10;
  EXPECT_FALSE(to.intake->Begin(evil, 2).ok());
}

TEST(Intake, RefusesWhatDoesNotFitAndSaysWhatToDo) {
  TestNode from;
  const SlotFile file = from.Seal(2, 30, 1, 'a');
  TestNode to(file.bytes().size() + file.bytes().size() / 2);
  to.intake->SetOwn(kJob, {2, 2, 2});
  EXPECT_TRUE(Copy(file, to, 2).ok());
  const SlotFile second = from.Seal(2, 31, 1, 'b');
  const absl::Status full = to.intake->Offer(*HeadOf(second), 2).status();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_THAT(std::string(full.message()), HasSubstr("--vault-memory"));
  EXPECT_FALSE(*to.intake->Offer(*HeadOf(from.Seal(2, 32, 1, 'a')), 2)) << "in the old one's place";
}

TEST(Intake, ACopyThatIsCutShortLeavesTheOneBefore) {
  TestNode from, to;
  to.intake->SetOwn(kJob, {2, 2, 2});
  ASSERT_TRUE(Copy(from.Seal(2, 30, 1, 'a'), to, 2).ok());
  const SlotFile next = from.Seal(2, 31, 1, 'b');
  int parts = 0;
  const auto some = [&parts] { return ++parts < 4; };
  EXPECT_TRUE(absl::IsCancelled(DirectPeer(*to.intake).Put(*HeadOf(next), 2, next, some)));
  EXPECT_EQ(to.At(1, 'a'), Step(2, 30));
  EXPECT_EQ(to.At(1, 'b'), Step(0, 0));
  EXPECT_TRUE(Copy(next, to, 2).ok()) << "it is not busy any more";
  EXPECT_EQ(to.At(1, 'b'), Step(2, 31));
}

TEST(Intake, OneFileIsWrittenByOneAtATime) {
  TestNode from, to;
  to.intake->SetOwn(kJob, {2, 2, 2});
  const SlotFile file = from.Seal(2, 30, 1, 'a');
  auto first = to.intake->Begin(*HeadOf(file), 2);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsAborted(to.intake->Begin(*HeadOf(file), 2).status()));
  EXPECT_TRUE(absl::IsAborted(to.intake->Offer(*HeadOf(file), 2).status()));
  first->reset();
  EXPECT_TRUE(to.intake->Begin(*HeadOf(file), 2).ok());
}

TEST(Intake, NothingDamagedOnTheWayIsAccepted) {
  constexpr int kTries = 4000;
  TestNode from, to;
  to.intake->SetOwn(kJob, {2, 2, 2});
  ASSERT_TRUE(Copy(from.Seal(2, 30, 1, 'a'), to, 2).ok());
  const SlotFile file = from.Seal(2, 31, 1, 'b');
  const size_t size = file.bytes().size();
  std::mt19937_64 random(5);
  int accepted_whole = 0, refused = 0;
  for (int i = 0; i < kTries; ++i) {
    const size_t at = random() % size;
    const int bit = static_cast<int>(random() % 8);
    const int kind = static_cast<int>(random() % 4);
    bool changed = false;
    size_t count = 0;
    const absl::Status copied = Copy(file, to, 2, [&](uint64_t offset, Bytes& data) {
      ++count;
      const bool here = at >= offset && at < offset + data.size();
      if (!here) return;
      const Bytes before = data;
      switch (kind) {
        case 0:  // a flipped bit
          data[at - offset] ^= std::byte{static_cast<unsigned char>(1u << bit)};
          break;
        case 1:  // cut off
          data.resize(at - offset);
          break;
        case 2:  // zeros
          std::fill(data.begin(), data.end(), std::byte{0});
          break;
        default:  // bytes of another moment
          std::rotate(data.begin(), data.begin() + 1, data.end());
      }
      changed = data != before;
    });
    // What the shard does not cover (the words, padding) need not be told from the right bytes;
    // the content is.
    if (copied.ok()) {
      ++accepted_whole;
      const auto copy = SlotFile::Open(to.folder + "/r00001.b");
      ASSERT_EQ(ImageOf(*copy), ImageOf(file)) << "try " << i << " at " << at << " kind " << kind;
      const auto mine = copy->slot().Read(), theirs = file.slot().Read();
      ASSERT_EQ(mine->id, theirs->id);
      ASSERT_EQ(mine->digest.file.chunk_crc32c, theirs->digest.file.chunk_crc32c);
    } else {
      ++refused;
      ASSERT_TRUE(changed) << copied;
      ASSERT_EQ(to.At(1, 'b'), Step(0, 0)) << "try " << i << " at " << at << " kind " << kind;
    }
    ASSERT_EQ(to.At(1, 'a'), Step(2, 30)) << "the copy before it";
    ASSERT_GT(count, 1u);
  }
  printf("%d damages on the wire: %d refused, 0 accepted; %d touched nothing that counts\n", kTries,
         refused, accepted_whole);
  EXPECT_GT(refused, kTries / 4);
}

TEST(Intake, CopiesOfOlderAttemptsGoWhenEveryRankHasANewerOne) {
  TestNode from, to;
  to.intake->SetOwn(kJob, {1, 3, 1});
  ASSERT_TRUE(Copy(from.Seal(1, 10, 0, 'a'), to, 1).ok());
  ASSERT_TRUE(Copy(from.Seal(1, 10, 1, 'a'), to, 1).ok());
  to.Seal(1, 10, 3, 'a');
  to.intake->SetOwn(kJob, {2, 3, 1});
  ASSERT_TRUE(Copy(from.Seal(2, 11, 0, 'b'), to, 2).ok());
  EXPECT_EQ(to.At(1, 'a'), Step(1, 10)) << "rank 1 may not have saved yet";
  ASSERT_TRUE(Copy(from.Seal(2, 12, 0, 'a'), to, 2).ok());
  EXPECT_EQ(to.At(1, 'a'), Step(0, 0)) << "a second step began when all had the first";
  EXPECT_EQ(to.At(3, 'a'), Step(1, 10)) << "its own";
  EXPECT_EQ(to.At(0, 'a'), Step(2, 12));
  EXPECT_EQ(to.At(0, 'b'), Step(2, 11));
}

SlotHead Head(uint64_t attempt, uint64_t step, char letter) {
  SlotHead head;
  head.id = IdOf(attempt, step, 1);
  head.letter = letter;
  return head;
}

std::string Text(const std::vector<Wanted>& all) {
  std::string text;
  for (const Wanted& one : all) {
    text += fmt::format("{}.{}>{}", one.head.id.attempt, one.head.id.step, one.letter);
    for (const Wanted::At& at : one.at) text += fmt::format("@{}", at.source);
    text += " ";
  }
  return text;
}

TEST(Fetch, ChoosesTheTwoNewestStepsAndKeepsWhatIsHere) {
  EXPECT_EQ(Text(ChooseFetches({}, {})), "");
  EXPECT_EQ(Text(ChooseFetches({}, {{0, Head(1, 5, 'a')}, {0, Head(1, 6, 'b')}})),
            "1.6>b@0 1.5>a@0 ");
  EXPECT_EQ(Text(ChooseFetches({Head(1, 5, 'a'), Head(1, 6, 'b')},
                               {{0, Head(1, 5, 'a')}, {0, Head(1, 6, 'b')}})),
            "");
  EXPECT_EQ(Text(ChooseFetches({Head(1, 6, 'b')}, {{0, Head(1, 5, 'a')}, {1, Head(1, 5, 'a')}})),
            "1.5>a@0@1 ")
      << "two that have it: either will do";
  EXPECT_EQ(Text(ChooseFetches({Head(1, 6, 'a')}, {{0, Head(1, 5, 'a')}})), "1.5>b@0 ")
      << "the file is taken by a newer one";
  EXPECT_EQ(Text(ChooseFetches({Head(1, 2, 'a'), Head(1, 3, 'b')},
                               {{0, Head(1, 5, 'a')}, {0, Head(2, 4, 'b')}})),
            "2.4>b@0 1.5>a@0 ")
      << "newest attempt first, whatever the step";
  EXPECT_EQ(Text(ChooseFetches({Head(1, 5, 'a'), Head(1, 6, 'b')}, {{0, Head(1, 4, 'a')}})), "");
}

FetchOrder OrderFor(TestNode& node, const OwnRanks& own, uint64_t since,
                    const std::vector<std::string>& sources) {
  FetchOrder order{node.folder, kJob, kWorld, since, own, {}, {}};
  for (const std::string& source : sources) {
    order.sources.push_back({source, source, own.first_rank, own.ranks});
  }
  return order;
}

TEST(Fetch, BringsWhatTheLostNodeHadFromThePartner) {
  Network net;
  for (const uint32_t rank : {0u, 1u}) {
    net["partner"].Seal(1, 5, rank, 'a');
    net["partner"].Seal(1, 6, rank, 'b');
  }
  net["partner"].Seal(1, 6, 2, 'b');  // of a rank that stays where it is
  TestNode& here = net["new"];
  const Fetched fetched = FetchSlots(OrderFor(here, {2, 0, 2}, 1, {"partner"}), net.dial(), Always);
  EXPECT_EQ(fetched.slots, 4u);
  EXPECT_THAT(fetched.troubles, IsEmpty());
  for (const uint32_t rank : {0u, 1u}) {
    EXPECT_EQ(here.At(rank, 'a'), Step(1, 5));
    EXPECT_EQ(here.At(rank, 'b'), Step(1, 6));
  }
  EXPECT_EQ(here.At(2, 'b'), Step(0, 0));
}

TEST(Fetch, PassesOverWhatNobodyMayGoOnFrom) {
  Network net;
  TestNode& there = net["there"];
  there.Seal(1, 50, 0, 'a');  // before `since`
  SlotFile adopted = there.Seal(1, 40, 0, 'b');
  adopted.slot().GoOn(2);
  TestNode& here = net["here"];
  EXPECT_EQ(FetchSlots(OrderFor(here, {3, 0, 1}, 2, {"there"}), net.dial(), Always).slots, 1u);
  EXPECT_EQ(here.At(0, 'a'), Step(0, 0));
  EXPECT_EQ(here.At(0, 'b'), Step(1, 40));
  EXPECT_EQ(SlotFile::Open(here.folder + "/r00000.b")->slot().adopted_by(), 2u);
  there.Seal(7, 60, 0, 'a');  // of an attempt that is not over
  EXPECT_EQ(FetchSlots(OrderFor(here, {3, 0, 1}, 2, {"there"}), net.dial(), Always).slots, 0u);
}

TEST(Fetch, ADamagedSlotOfThisNodeIsReplacedByItsCopy) {
  Network net;
  net["partner"].Seal(1, 6, 0, 'b');
  TestNode& here = net["here"];
  SlotFile mine = here.Seal(1, 6, 0, 'b');
  const auto image = mine.slot().image(*mine.slot().Read());
  const_cast<std::byte&>(image[image.size() / 3]) ^= std::byte{8};
  EXPECT_EQ(here.At(0, 'b'), Step(0, 0));
  EXPECT_EQ(FetchSlots(OrderFor(here, {2, 0, 1}, 1, {"partner"}), net.dial(), Always).slots, 1u);
  EXPECT_EQ(here.At(0, 'b'), Step(1, 6));
}

TEST(Fetch, TakesTheNextSourceWhenOneIsDamagedOnTheWay) {
  Network net;
  net["one"].Seal(1, 6, 0, 'b');
  net["two"].Seal(1, 6, 0, 'b');
  TestNode& here = net["here"];
  std::atomic<int> spoiled = 0;
  net.spoil = [&](uint64_t offset, Bytes& data) {
    if (offset > 150'000 && spoiled++ == 0) data[0] ^= std::byte{1};
  };
  const Fetched fetched =
      FetchSlots(OrderFor(here, {2, 0, 1}, 1, {"one", "two"}), net.dial(), Always);
  EXPECT_EQ(fetched.slots, 1u);
  EXPECT_THAT(fetched.troubles, SizeIs(1));
  EXPECT_THAT(fetched.troubles, ElementsAre(HasSubstr("step 6 of rank 0 from one")));
  EXPECT_EQ(here.At(0, 'b'), Step(1, 6));
}

TEST(Fetch, RanksWaitAtTheGateUntilItIsDone) {
  Network net;
  net["partner"].Seal(1, 6, 0, 'b');
  TestNode& here = net["here"];
  std::atomic<bool> may_go = false;
  net.spoil = [&](uint64_t, Bytes&) {
    while (!may_go) std::this_thread::yield();
  };
  Fetcher fetcher(net.dial());
  fetcher.Begin(OrderFor(here, {2, 0, 1}, 1, {"partner"}));
  EXPECT_FALSE(checkpoint::WaitForSlotGate(here.folder, 0.02));
  may_go = true;
  EXPECT_TRUE(checkpoint::WaitForSlotGate(here.folder, 60));
  EXPECT_EQ(here.At(0, 'b'), Step(1, 6));
}

TEST(Replicator, SendsWhatIsSealedAndMarksIt) {
  Network net;
  TestNode from;
  net["partner"].intake->SetOwn(kJob, {1, 2, 2});
  Replicator replicator(net.dial(), std::chrono::seconds(10));
  ASSERT_TRUE(replicator.Start().ok());
  replicator.Watch(from.folder, {"partner", "partner", {1, 0, 2}});
  const SlotFile file = from.Seal(1, 5, 0, 'a', {.replica = true});
  file.Nudge();
  EXPECT_EQ(WaitForReplicaMark(file), static_cast<uint32_t>(checkpoint::kSlotReplicated));
  EXPECT_EQ(net["partner"].At(0, 'a'), Step(1, 5));
  from.Seal(1, 5, 3, 'a', {.replica = true}).Nudge();  // left by a rank that runs elsewhere now
  const auto other = SlotFile::Open(from.folder + "/r00003.a");
  EXPECT_EQ(WaitForReplicaMark(*other), static_cast<uint32_t>(checkpoint::kSlotReplicaGivenUp));
}

TEST(Replicator, GivesUpAPartnerThatDoesNotComeAndSaysSoOnce) {
  Network net;
  TestNode from;
  net["partner"];  // knows of no attempt
  Replicator replicator(net.dial(), std::chrono::milliseconds(0));
  ASSERT_TRUE(replicator.Start().ok());
  replicator.Watch(from.folder, {"partner", "partner", {1, 0, 2}});
  SlotFile file = from.Seal(1, 5, 0, 'a', {.replica = true});
  EXPECT_FALSE(file.slot().BeginCopy().ok()) << "it waits for its copy";
  file.Nudge();
  EXPECT_EQ(WaitForReplicaMark(file), static_cast<uint32_t>(checkpoint::kSlotReplicaGivenUp));
}

TEST(Replicator, ANewPartnerGetsWhatTheOldOneHad) {
  Network net;
  TestNode from;
  net["old"].intake->SetOwn(kJob, {1, 2, 2});
  net["new"].intake->SetOwn(kJob, {2, 2, 2});
  Replicator replicator(net.dial(), std::chrono::seconds(10));
  ASSERT_TRUE(replicator.Start().ok());
  replicator.Watch(from.folder, {"old", "old", {1, 0, 2}});
  SlotFile file = from.Seal(1, 5, 0, 'a', {.replica = true});
  file.Nudge();
  ASSERT_EQ(WaitForReplicaMark(file), static_cast<uint32_t>(checkpoint::kSlotReplicated));
  replicator.Watch(from.folder, {"new", "new", {2, 0, 2}});
  file.slot().GoOn(2, true);
  file.Nudge();
  EXPECT_EQ(WaitForReplicaMark(file), static_cast<uint32_t>(checkpoint::kSlotReplicated));
  EXPECT_EQ(net["new"].At(0, 'a'), Step(1, 5));
  EXPECT_EQ(SlotFile::Open(net["new"].folder + "/r00000.a")->slot().adopted_by(), 2u);
}

}  // namespace
}  // namespace muster::worker::vault
