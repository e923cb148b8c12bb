#include "trainer/loop/background_save.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/check.h"
#include "common/status.h"

namespace muster::trainer::loop {
namespace {

void CopyImage(const checkpoint::ShardLayout& layout, const std::vector<Section>& sections,
               std::span<std::byte> image) {
  std::memcpy(image.data(), layout.header.data(), layout.header.size());
  for (size_t i = 0; i < layout.pieces.size(); ++i) {
    const auto floats = std::as_bytes(sections[layout.source[i]].floats);
    const checkpoint::Piece& piece = layout.pieces[i];
    CHECK(floats.size() == piece.end - piece.begin, "{}: {} bytes in memory, {} in the shard",
          checkpoint::BoxText(piece.box), floats.size(), piece.end - piece.begin);
    if (!floats.empty()) std::memcpy(image.data() + piece.begin, floats.data(), floats.size());
  }
}

}  // namespace

BackgroundSave::~BackgroundSave() {
  if (thread_.joinable()) thread_.join();
}

void BackgroundSave::Reach(Stage stage) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stage_.store(stage, std::memory_order_release);
  }
  changed_.notify_all();
}

void BackgroundSave::Begin(const std::string& root, const checkpoint::CheckpointId& id,
                           const std::string& writer, std::vector<Section> sections) {
  CHECK(stage_ == Stage::kFree, "a save of step {} begins while one is on its way", id.step);
  stage_ = Stage::kCopying;
  thread_ = std::thread([this, root, id, writer, sections = std::move(sections)] {
    result_ = Run(root, id, writer, sections);
    Reach(Stage::kWritten);
  });
}

absl::StatusOr<std::string> BackgroundSave::Run(const std::string& root,
                                                const checkpoint::CheckpointId& id,
                                                const std::string& writer,
                                                const std::vector<Section>& sections) {
  std::vector<checkpoint::Box> boxes;
  boxes.reserve(sections.size());
  for (const Section& section : sections) boxes.push_back(section.box);
  MUSTER_ASSIGN_OR_RETURN(const checkpoint::ShardLayout layout,
                          checkpoint::LayOutShard(writer, boxes));
  const absl::Status reserved = memory_.Reserve(layout.bytes);
  why_not_copied_ = std::string(reserved.message());
  if (reserved.ok()) {
    CopyImage(layout, sections, memory_.bytes());
    Reach(Stage::kWriting);
  }
  MUSTER_ASSIGN_OR_RETURN(const std::string folder,
                          checkpoint::PrepareCheckpointFolder(root, id, files_));
  const absl::StatusOr<checkpoint::ShardDigest> digest =
      reserved.ok()
          ? checkpoint::WriteShardImage(folder, layout, memory_.bytes().first(layout.bytes), files_)
          : checkpoint::WriteShard(folder, writer, SlicesOf(sections), {}, files_);
  MUSTER_RETURN_IF_ERROR(digest.status());
  return checkpoint::SerializeDigest(*digest);
}

void BackgroundSave::WaitCopied() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return stage_ != Stage::kCopying; });
}

absl::StatusOr<std::string> BackgroundSave::Take() {
  CHECK(stage_ != Stage::kFree, "no save is on its way");
  thread_.join();
  stage_ = Stage::kFree;
  return std::move(result_);
}

}  // namespace muster::trainer::loop
