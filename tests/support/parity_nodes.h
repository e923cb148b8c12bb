// Groups of nodes that share parity, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "tests/support/vault_nodes.h"
#include "worker/vault/fetch.h"
#include "worker/vault/parity_send.h"

namespace muster::worker::vault {

using Step = std::pair<uint64_t, uint64_t>;  // attempt, step
using Dice = std::mt19937_64;

// A group of nodes "n0", "n1", ... with some ranks each.
class Group {
 public:
  Group(Dice& dice, size_t members) : dice_(dice) {
    uint32_t first = 0;
    for (size_t i = 0; i < members; ++i) {
      const auto ranks = static_cast<uint32_t>(1 + dice() % 3);
      members_.push_back({Name(i), Name(i), {first, ranks}});
      first += ranks;
    }
    floats_.resize(first);
    for (size_t& floats : floats_) floats = dice() % 4 == 0 ? 1 + dice() % 50 : dice() % 60'000;
    Come(1);
  }

  static std::string Name(size_t member) { return "n" + std::to_string(member); }
  Network& net() { return net_; }
  const std::vector<ParityMember>& members() const { return members_; }
  uint32_t ranks() const { return static_cast<uint32_t>(floats_.size()); }
  size_t HomeOf(uint32_t rank) const { return *MemberOf(GroupOf(members_), rank); }
  TestNode& NodeOf(uint32_t rank) { return net_[Name(HomeOf(rank))]; }
  void Come(uint64_t attempt) {
    for (const ParityMember& member : members_) {
      net_[member.node].intake->SetOwn(kJob, {attempt, member.run.first_rank, member.run.ranks});
    }
  }

  // The rank's slot, sealed on its node; its bytes are kept here.
  checkpoint::SlotFile Save(uint64_t attempt, uint64_t step, uint32_t rank, char letter) {
    checkpoint::SlotFile file = NodeOf(rank).Seal(attempt, step, rank, letter, {}, floats_[rank]);
    saved_[{rank, Step(attempt, step)}] = WithoutWords(file);
    return file;
  }

  // Sends it, cut off now and then, and repeated.
  absl::Status Send(const checkpoint::SlotFile& file, uint64_t attempt) {
    const SlotHead head = *HeadOf(file);
    std::vector<ChunkOffer> offers = ChunkOffers(head, members_, attempt, file);
    std::shuffle(offers.begin(), offers.end(), dice_);
    for (const ChunkOffer& offer : offers) {
      const auto peer = net_.dial()(members_[offer.holder].address);
      absl::Status sent = absl::CancelledError("");
      while (absl::IsCancelled(sent)) {
        uint64_t parts = dice_() % 3 == 0 ? dice_() % 8 : 1'000'000;
        sent = SendChunk(*peer, offer, file, [&parts] { return parts-- > 0; });
      }
      MUSTER_RETURN_IF_ERROR(sent);
      if (dice_() % 4 == 0) MUSTER_RETURN_IF_ERROR(SendChunk(*peer, offer, file, Always));
    }
    return absl::OkStatus();
  }

  // One step of all ranks, in any order.
  void SaveAndSendAll(uint64_t attempt, uint64_t step, char letter) {
    std::vector<uint32_t> order(ranks());
    for (uint32_t rank = 0; rank < ranks(); ++rank) order[rank] = rank;
    std::shuffle(order.begin(), order.end(), dice_);
    for (const uint32_t rank : order) {
      const absl::Status sent = Send(Save(attempt, step, rank, letter), attempt);
      ASSERT_TRUE(sent.ok()) << sent;
    }
  }

  FetchOrder OrderFor(TestNode& node, size_t member, uint64_t attempt, uint64_t since = 0) const {
    const RankRun run = members_[member].run;
    FetchOrder order{node.folder, kJob, kWorld, since, {attempt, run.first_rank, run.ranks},
                     {},          {}};
    for (const ParityMember& one : members_) {
      order.parity.push_back({one.node, one.address, one.run.first_rank, one.run.ranks});
    }
    return order;
  }

  // Every slot of the member that is whole on `node` is what was saved.
  void ExpectAsSaved(const TestNode& node, size_t member) const {
    const RankRun run = members_[member].run;
    for (uint32_t rank = run.first_rank; run.has(rank); ++rank) {
      for (const char letter : checkpoint::kSlotLetters) {
        const Step step = node.At(rank, letter);
        if (step == Step()) continue;
        const auto file =
            checkpoint::SlotFile::Open(node.folder + "/" + checkpoint::SlotFileName(rank, letter));
        const auto saved = saved_.find({rank, step});
        ASSERT_TRUE(saved != saved_.end());
        ASSERT_TRUE(WithoutWords(*file) == saved->second) << "rank " << rank;
      }
    }
  }

 private:
  static Bytes WithoutWords(const checkpoint::SlotFile& file) {
    Bytes bytes(file.bytes().begin(), file.bytes().end());
    ClearWords(0, bytes);
    return bytes;
  }

  Dice& dice_;
  Network net_;
  std::vector<ParityMember> members_;
  std::vector<size_t> floats_;  // by rank
  std::map<std::pair<uint32_t, Step>, Bytes> saved_;
};

// Every rank of the run has this step there, whole.
inline bool Holds(const TestNode& node, const RankRun& run, Step step) {
  for (uint32_t rank = run.first_rank; run.has(rank); ++rank) {
    if (node.At(rank, 'a') != step && node.At(rank, 'b') != step) return false;
  }
  return true;
}

}  // namespace muster::worker::vault
