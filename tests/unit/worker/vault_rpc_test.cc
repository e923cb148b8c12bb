// Slots between two workers over real gRPC.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/slots.h"
#include "tests/support/temp_folder.h"
#include "worker/rpc/peer_server.h"
#include "worker/rpc/vault_client.h"
#include "worker/vault/parity_send.h"

namespace muster::worker::rpc {
namespace {

using checkpoint::SlotFile;
using testing::IsEmpty;
using testing::SizeIs;
using vault::SlotHead;

constexpr char kJob[] = "gpt-1-abc";

class VaultRpcTest : public testing::Test {
 protected:
  VaultRpcTest() {
    auto opened =
        vault::Vault::Open({.folder = memory_.path() + "/vault", .bytes = 64 << 20, .slots = 1});
    EXPECT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE(opened->Add(kJob).ok());
    folder_ = opened->FolderOf(kJob);
    intake_ = std::make_unique<vault::Intake>(*opened);
    intake_->SetOwn(kJob, {.attempt = 1, .first_rank = 2, .ranks = 2});
    auto server = PeerServer::Listen("127.0.0.1:0", std::make_shared<ExchangeBoard>(),
                                     std::make_shared<LiveRanks>(), memory_.path(), *intake_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    peer_ = DialVault("127.0.0.1:" + std::to_string(server_->port()));
  }

  // More than two parts.
  static constexpr size_t kFloats = 900'000;
  static checkpoint::SlotId Id(uint64_t step, uint32_t rank) { return {kJob, step, 1, rank, 4}; }

  TempFolder memory_{"/dev/shm"};
  std::string folder_;
  std::unique_ptr<vault::Intake> intake_;
  std::unique_ptr<PeerServer> server_;
  std::unique_ptr<vault::PeerVault> peer_;
};

TEST_F(VaultRpcTest, ASlotGoesThereAndComesBack) {
  const TempFolder here("/dev/shm");
  SlotFile file = SealSlot(here.path(), Id(7, 1), 'b', kFloats);
  file.slot().GoOn(1);
  const SlotHead head = *vault::HeadOf(file);
  EXPECT_FALSE(*peer_->Offer(head, 1));
  const absl::Status put = peer_->Put(head, 1, file, [] { return true; });
  EXPECT_TRUE(put.ok()) << put;
  EXPECT_TRUE(*peer_->Offer(head, 1));

  const auto listed = peer_->List(kJob, 0, 2);
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_THAT(*listed, SizeIs(1));
  EXPECT_EQ(listed->front().id, head.id);
  EXPECT_EQ(listed->front().letter, 'b');
  EXPECT_EQ(listed->front().bytes, head.bytes);
  EXPECT_EQ(listed->front().adopted_by, 1u);
  EXPECT_EQ(listed->front().resumes, 1u);
  EXPECT_THAT(*peer_->List(kJob, 2, 2), IsEmpty());

  const TempFolder back("/dev/shm");
  auto slot = vault::IncomingSlot::Begin(back.path(), listed->front());
  ASSERT_TRUE(slot.ok()) << slot.status();
  const absl::Status got = peer_->Get(
      listed->front(), {0, head.bytes},
      [&](uint64_t offset, std::span<const std::byte> data) { return slot->Write(offset, data); });
  EXPECT_TRUE(got.ok()) << got;
  EXPECT_TRUE(slot->Seal().ok());
  EXPECT_EQ(ImageOf(*SlotFile::Open(back.path() + "/r00001.b")), ImageOf(file));
}

TEST_F(VaultRpcTest, RefusalsKeepTheirCode) {
  const TempFolder here("/dev/shm");
  const SlotFile own = SealSlot(here.path(), Id(7, 2), 'a', 10);
  EXPECT_TRUE(absl::IsFailedPrecondition(peer_->Offer(*vault::HeadOf(own), 1).status()));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(peer_->Put(*vault::HeadOf(own), 1, own, [] { return true; })));
  const SlotFile later = SealSlot(here.path(), Id(7, 1), 'a', 10);
  EXPECT_TRUE(absl::IsUnavailable(peer_->Offer(*vault::HeadOf(later), 2).status()));
  EXPECT_TRUE(absl::IsNotFound(
      peer_->Get(*vault::HeadOf(later), {0, 10},
                 [](uint64_t, std::span<const std::byte>) { return absl::OkStatus(); })));
}

TEST_F(VaultRpcTest, ACopyThatIsBrokenOffIsNoCopy) {
  const TempFolder here("/dev/shm");
  const SlotFile file = SealSlot(here.path(), Id(7, 1), 'a', kFloats);
  int parts = 0;
  EXPECT_TRUE(absl::IsCancelled(
      peer_->Put(*vault::HeadOf(file), 1, file, [&parts] { return ++parts < 3; })));
  EXPECT_THAT(*peer_->List(kJob, 0, 4), IsEmpty());
  absl::Status again = absl::AbortedError("");
  while (absl::IsAborted(again)) {  // until the server has seen the end of the first
    again = peer_->Put(*vault::HeadOf(file), 1, file, [] { return true; });
  }
  EXPECT_TRUE(again.ok()) << again;
}

TEST_F(VaultRpcTest, ChunksBecomeARowThatIsReadBack) {
  const TempFolder here("/dev/shm");
  const std::vector<vault::ParityMember> members = {
      {"n0", "", {0, 1}}, {"n1", "", {2, 2}}, {"n2", "", {1, 1}}};
  const auto offer_of = [&](const SlotFile& file) {
    for (vault::ChunkOffer& offer : vault::ChunkOffers(*vault::HeadOf(file), members, 1, file)) {
      if (offer.holder == 1) return offer;
    }
    return vault::ChunkOffer();
  };
  const SlotFile one = SealSlot(here.path(), Id(7, 0), 'a', kFloats);
  const SlotFile other = SealSlot(here.path(), Id(7, 1), 'b', kFloats / 2);
  const vault::ChunkOffer first = offer_of(one), second = offer_of(other);
  // Cut off, and on from there.
  ASSERT_EQ(*peer_->OfferChunk(first), 0u);
  int parts = 0;
  EXPECT_TRUE(absl::IsCancelled(peer_->PutChunk(first, 0, one, [&parts] { return ++parts < 2; })));
  absl::Status put = absl::AbortedError("");
  while (absl::IsAborted(put)) {  // until the server has seen the end of the first
    const auto taken = peer_->OfferChunk(first);
    ASSERT_TRUE(taken.ok()) << taken.status();
    put = peer_->PutChunk(first, *taken, one, [] { return true; });
  }
  EXPECT_TRUE(put.ok()) << put;
  EXPECT_EQ(*peer_->OfferChunk(first), first.chunk().size());
  EXPECT_THAT(*peer_->ListRows(kJob), IsEmpty()) << "one has not given";
  put = vault::SendChunk(*peer_, second, other, [] { return true; });
  EXPECT_TRUE(put.ok()) << put;

  const auto rows = peer_->ListRows(kJob);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_THAT(*rows, SizeIs(1));
  const vault::RowHead& row = rows->front();
  EXPECT_EQ(row.group, vault::GroupOf(members));
  EXPECT_EQ(row.holder, 1u);
  EXPECT_EQ(row.step, 7u);
  ASSERT_THAT(row.chunks, SizeIs(2));
  EXPECT_EQ(row.chunks[0].slot.id, Id(7, 0));
  EXPECT_EQ(row.chunks[1].slot.id, Id(7, 1));
  EXPECT_EQ(row.chunks[1].slot.letter, 'b');

  std::vector<std::byte> read(first.chunk().size());
  absl::Status got =
      peer_->GetRow(row, {0, read.size()}, [&](uint64_t offset, std::span<const std::byte> data) {
        std::copy(data.begin(), data.end(), read.begin() + static_cast<long>(offset));
        return absl::OkStatus();
      });
  ASSERT_TRUE(got.ok()) << got;
  // Without the other's chunk, asked as a part of its slot, it is the first one's.
  got = peer_->Put(*vault::HeadOf(other), 1, other, [] { return true; });
  ASSERT_TRUE(got.ok()) << got;
  got = peer_->Get(*vault::HeadOf(other), second.chunk(),
                   [&](uint64_t offset, std::span<const std::byte> data) {
                     checkpoint::XorBytes(
                         std::span(read).subspan(offset - second.chunk().begin, data.size()), data);
                     return absl::OkStatus();
                   });
  ASSERT_TRUE(got.ok()) << got;
  std::vector<std::byte> wanted(one.bytes().begin(), one.bytes().end());
  vault::ClearWords(0, wanted);
  const auto chunk = std::span(wanted).subspan(first.chunk().begin, first.chunk().size());
  EXPECT_TRUE(std::equal(read.begin(), read.end(), chunk.begin(), chunk.end()));
}

TEST_F(VaultRpcTest, RefusalsOfChunksKeepTheirCode) {
  const TempFolder here("/dev/shm");
  const SlotFile file = SealSlot(here.path(), Id(7, 0), 'a', 10);
  vault::ChunkOffer offer{
      .slot = *vault::HeadOf(file), .attempt = 2, .group = {{0, 1}, {2, 2}}, .holder = 1};
  EXPECT_TRUE(absl::IsUnavailable(peer_->OfferChunk(offer).status()));
  offer.attempt = 1;
  EXPECT_TRUE(absl::IsAborted(peer_->PutChunk(offer, 0, file, [] { return true; })))
      << "it was not offered";
  offer.group.clear();
  offer.holder = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(peer_->OfferChunk(offer).status()));
  vault::RowHead row;
  row.job_uid = kJob;
  EXPECT_TRUE(absl::IsNotFound(peer_->GetRow(
      row, {0, 10}, [](uint64_t, std::span<const std::byte>) { return absl::OkStatus(); })));
}

TEST_F(VaultRpcTest, ANodeThatIsGoneIsUnavailable) {
  const TempFolder here("/dev/shm");
  const SlotFile file = SealSlot(here.path(), Id(7, 1), 'a', 10);
  server_.reset();
  const absl::Status status = peer_->Offer(*vault::HeadOf(file), 1).status();
  EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) << status;
}

}  // namespace
}  // namespace muster::worker::rpc
