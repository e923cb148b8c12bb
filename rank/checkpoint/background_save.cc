#include "rank/checkpoint/background_save.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "checkpoint/digest.h"
#include "common/check.h"
#include "common/status.h"

namespace muster::rank {
namespace {

constexpr int kLookAgainMs = 200;
// A slot that no worker began to write for so long is written by its rank.
constexpr double kTakeOverSeconds = 30;

void CopyImage(const checkpoint::ShardLayout& layout, const SaveOrder& order,
               std::span<std::byte> image) {
  std::memcpy(image.data(), layout.header.data(), layout.header.size());
  for (size_t i = 0; i < layout.pieces.size(); ++i) {
    if (order.at && i == layout.pieces.size() / 2) order.at(FillMoment::kHalfCopied);
    const std::span<const std::byte> bytes = order.sections[layout.source[i]].bytes;
    const checkpoint::Piece& piece = layout.pieces[i];
    CHECK(bytes.size() == piece.end - piece.begin, "{}: {} bytes in memory, {} in the shard",
          checkpoint::BoxText(piece.box), bytes.size(), piece.end - piece.begin);
    if (!bytes.empty()) std::memcpy(image.data() + piece.begin, bytes.data(), bytes.size());
  }
}

}  // namespace

BackgroundSave::~BackgroundSave() {
  abandoned_ = true;
  if (thread_.joinable()) thread_.join();
}

void BackgroundSave::Reach(Stage stage) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stage_.store(stage, std::memory_order_release);
  }
  changed_.notify_all();
}

void BackgroundSave::ReachFill(Fill fill) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    fill_.store(fill, std::memory_order_release);
  }
  changed_.notify_all();
}

void BackgroundSave::Begin(SaveOrder order) {
  CHECK(stage_ == Stage::kFree, "a save of step {} begins while one is on its way", order.id.step);
  CHECK(order.slot != nullptr || order.durable, "a save that goes nowhere");
  stage_ = Stage::kCopying;
  fill_ = order.slot == nullptr ? Fill::kNone : Fill::kFilling;
  watch_ = Stopwatch();
  thread_ = std::thread([this, order = std::move(order)] {
    result_ = Run(order);
    Reach(Stage::kWritten);
  });
}

absl::StatusOr<std::string> BackgroundSave::Run(const SaveOrder& order) {
  std::vector<checkpoint::Box> boxes;
  boxes.reserve(order.sections.size());
  for (const Section& section : order.sections) boxes.push_back(section.box);
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::ShardLayout layout,
                          checkpoint::LayOutShard(order.writer, boxes));
  why_not_copied_.clear();
  if (order.slot != nullptr) {
    checkpoint::ShardDigest digest;
    const absl::Status filled = FillSlot(order, layout, &digest);
    ReachFill(filled.ok() ? Fill::kSealed : Fill::kFailed);
    if (filled.ok()) {
      if (order.at) order.at(FillMoment::kSealed);
      if (order.durable) MUSTER_RETURN_IF_ERROR(DrainSlot(order, layout));
      return checkpoint::SerializeDigest(digest);
    }
    // Before the copy the bytes are still this step's: storage can have them another way.
    if (!order.durable || stage_ != Stage::kCopying) return filled;
  }
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::ShardDigest digest, WriteWithoutSlot(order, layout));
  return checkpoint::SerializeDigest(digest);
}

absl::Status BackgroundSave::FillSlot(const SaveOrder& order, const checkpoint::ShardLayout& layout,
                                      checkpoint::ShardDigest* digest) {
  checkpoint::RamSlot& slot = order.slot->slot();
  MUSTER_RETURN_IF_ERROR(slot.BeginFill(order.slot_id, layout));
  CopyImage(layout, order, slot.image());
  Reach(Stage::kWriting);
  if (order.at) order.at(FillMoment::kCopied);
  checkpoint::ChunkCrc crc;
  crc.Add(slot.image());
  *digest = {{layout.name, layout.bytes, crc.Finish()}, layout.pieces};
  MUSTER_RETURN_IF_ERROR(slot.Seal(*digest, order.run, order.root,
                                   {.drain = order.durable, .replica = order.replicated}));
  if (order.replicated) order.slot->Nudge();
  fill_seconds_ = watch_.Seconds();
  return absl::OkStatus();
}

absl::Status BackgroundSave::DrainSlot(const SaveOrder& order,
                                       const checkpoint::ShardLayout& layout) {
  checkpoint::RamSlot& slot = order.slot->slot();
  if (order.worker_drains) {
    order.slot->Nudge();
    constexpr uint32_t kDone = checkpoint::kSlotPersisted | checkpoint::kSlotDrainGivenUp;
    const Stopwatch waiting;
    while ((slot.WaitForMark(kDone, kLookAgainMs) & kDone) == 0) {
      if (abandoned_) {
        return Unavailable("the save of step {} is left to the worker", order.id.step);
      }
      if (waiting.Seconds() > kTakeOverSeconds && !slot.held_by(checkpoint::kHeldByDrain)) break;
    }
    if ((slot.marks() & kDone) != 0) return slot.DrainError();
    // A worker that came back without this vault: from here on it leaves the slot to us.
    slot.Hold(checkpoint::kHeldByRank);
    slot.GiveUpDrain(Unavailable("no worker began to write it"));
  }
  absl::Status status = WriteSlot(order, layout);
  slot.Release(checkpoint::kHeldByRank);
  return status;
}

absl::Status BackgroundSave::WriteSlot(const SaveOrder& order,
                                       const checkpoint::ShardLayout& layout) {
  checkpoint::RamSlot& slot = order.slot->slot();
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::SlotContent content, slot.Read());
  absl::Status status;
  const absl::StatusOr<std::string> folder =
      checkpoint::PrepareCheckpointFolder(order.root, order.id, files_);
  status = folder.status();
  if (status.ok()) {
    status = checkpoint::WriteShardImage(*folder, layout, slot.image(content), files_).status();
  }
  if (status.ok()) {
    slot.Mark(checkpoint::kSlotPersisted);
  } else {
    slot.GiveUpDrain(status);
  }
  return status;
}

absl::StatusOr<checkpoint::ShardDigest> BackgroundSave::WriteWithoutSlot(
    const SaveOrder& order, const checkpoint::ShardLayout& layout) {
  const absl::Status reserved = memory_.Reserve(layout.bytes);
  why_not_copied_ = std::string(reserved.message());
  if (reserved.ok()) {
    CopyImage(layout, order, memory_.bytes());
    Reach(Stage::kWriting);
  }
  MUSTER_ASSIGN_OR_RETURN(const std::string folder,
                          checkpoint::PrepareCheckpointFolder(order.root, order.id, files_));
  if (!reserved.ok()) {
    return checkpoint::WriteShard(folder, order.writer, SlicesOf(order.sections), {}, files_);
  }
  return checkpoint::WriteShardImage(folder, layout, memory_.bytes().first(layout.bytes), files_);
}

void BackgroundSave::WaitCopied() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return stage_ != Stage::kCopying; });
}

void BackgroundSave::WaitFilled() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return fill_ != Fill::kFilling; });
}

bool BackgroundSave::WaitWritten(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(std::max(0.0, seconds)),
                           [this] { return stage_ == Stage::kWritten; });
}

absl::StatusOr<std::string> BackgroundSave::Take() {
  CHECK(stage_ != Stage::kFree, "no save is on its way");
  thread_.join();
  stage_ = Stage::kFree;
  return std::move(result_);
}

}  // namespace muster::rank
