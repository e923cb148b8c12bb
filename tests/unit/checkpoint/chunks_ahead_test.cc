// The order is kept, what is damaged is told when its turn comes, and the next chunk comes while
// one is used.
#include "checkpoint/chunks_ahead.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <fstream>
#include <mutex>

#include "checkpoint/digest.h"
#include "tests/support/forwarding_files.h"
#include "tests/support/temp_folder.h"

namespace muster::checkpoint {
namespace {

using std::chrono::seconds;

// Counts reads.
class WatchedFiles : public ForwardingFiles {
 public:
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    auto file = ForwardingFiles::Open(path);
    if (!file.ok()) return file.status();
    return std::make_unique<Watched>(*this, *std::move(file));
  }

  bool WaitForReads(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return reads_ >= count; });
  }

 private:
  class Watched : public ReadableFile {
   public:
    Watched(WatchedFiles& watch, std::unique_ptr<ReadableFile> file)
        : watch_(watch), file_(std::move(file)) {}
    uint64_t Size() const override { return file_->Size(); }
    absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) override {
      absl::Status status = file_->ReadAt(offset, bytes);
      const std::lock_guard<std::mutex> lock(watch_.mutex_);
      ++watch_.reads_;
      watch_.changed_.notify_all();
      return status;
    }

   private:
    WatchedFiles& watch_;
    std::unique_ptr<ReadableFile> file_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  int reads_ = 0;
};

class ChunksAheadTest : public testing::Test {
 protected:
  void SetUp() override {
    Add("a", kChunkBytes * 2 + 100);
    Add("b", 77);
    Add("c", kChunkBytes);
  }

  void Add(const std::string& name, uint64_t size) {
    FileRecord record{name, size, {}};
    std::ofstream out(temp_.path() + "/" + name, std::ios::binary);
    for (uint64_t at = 0, index = 0; at < size; at += kChunkBytes, ++index) {
      const std::string bytes = Content(manifest_.files.size(), index, size);
      out << bytes;
      record.chunk_crc32c.push_back(Crc32c(0, std::as_bytes(std::span(bytes))));
    }
    manifest_.files.push_back(record);
  }

  static std::string Content(size_t file, uint64_t index, uint64_t size) {
    return std::string(std::min(kChunkBytes, size - index * kChunkBytes),
                       static_cast<char>('a' + 5 * file + index));
  }

  void Expect(const absl::StatusOr<std::span<const std::byte>>& chunk, ChunkKey key) {
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    const std::string bytes(reinterpret_cast<const char*>(chunk->data()), chunk->size());
    EXPECT_TRUE(bytes == Content(key.file, key.index, manifest_.files[key.file].size));
  }

  void Damage(const std::string& name, uint64_t at) {
    std::fstream file(temp_.path() + "/" + name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('!');
  }

  TempFolder temp_;
  Manifest manifest_;
  WatchedFiles files_;
};

TEST_F(ChunksAheadTest, TheOrderIsWhatWasAskedFor) {
  const std::vector<ChunkKey> order = {{0, 2}, {1, 0}, {0, 0}, {0, 1}, {2, 0}, {1, 0}};
  ChunksAhead chunks(files_, temp_.path(), manifest_, order);
  for (const ChunkKey& key : order) {
    ASSERT_FALSE(chunks.done());
    EXPECT_EQ(chunks.key(), key);
    Expect(chunks.Next(), key);
  }
  EXPECT_TRUE(chunks.done());
}

TEST_F(ChunksAheadTest, TheNextComesWhileOneIsUsed) {
  ChunksAhead chunks(files_, temp_.path(), manifest_, {{0, 0}, {0, 1}, {2, 0}});
  const auto first = chunks.Next();
  ASSERT_TRUE(files_.WaitForReads(2));
  Expect(first, {0, 0});  // still what it was
  const auto second = chunks.Next();
  ASSERT_TRUE(files_.WaitForReads(3));
  Expect(second, {0, 1});
  Expect(chunks.Next(), {2, 0});
}

TEST_F(ChunksAheadTest, DamageIsToldInItsTurnAndTheNextIsGood) {
  Damage("a", kChunkBytes + 5);
  std::filesystem::remove(temp_.path() + "/b");
  ChunksAhead chunks(files_, temp_.path(), manifest_, {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {2, 0}});
  Expect(chunks.Next(), {0, 0});
  const auto damaged = chunks.Next();
  EXPECT_TRUE(absl::IsDataLoss(damaged.status())) << damaged.status();
  EXPECT_NE(damaged.status().message().find("/a: bytes 16777216-33554432 are damaged"),
            std::string::npos)
      << damaged.status();
  Expect(chunks.Next(), {0, 2});
  EXPECT_TRUE(absl::IsDataLoss(chunks.Next().status()));
  Expect(chunks.Next(), {2, 0});
}

TEST_F(ChunksAheadTest, MayBeLeftInTheMiddle) {
  for (int read = 0; read < 3; ++read) {
    ChunksAhead chunks(files_, temp_.path(), manifest_, {{0, 0}, {0, 1}, {2, 0}});
    for (int i = 0; i < read; ++i) ASSERT_TRUE(chunks.Next().ok());
  }
}

}  // namespace
}  // namespace muster::checkpoint
