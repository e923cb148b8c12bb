#include "checkpoint/copy.h"

#include <algorithm>
#include <vector>

#include "checkpoint/chunk_reader.h"
#include "checkpoint/commit.h"
#include "checkpoint/digest.h"
#include "checkpoint/manifest.h"
#include "checkpoint/store.h"
#include "checkpoint/verify.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

constexpr const char* kDataFolder = "data/";

class Copy {
 public:
  Copy(const std::string& from, const std::string& to, const Manifest& manifest,
       const CopyProgress& progress, FileSystem& files)
      : from_(from), to_(to), manifest_(manifest), progress_(progress), files_(files) {}

  absl::Status Run(CopyReport& report) {
    report.files = manifest_.files.size();
    report.bytes = TotalBytes(manifest_);
    for (const FileRecord& file : manifest_.files) MUSTER_RETURN_IF_ERROR(CopyFile(file));
    report.bytes_resumed = resumed_;
    return files_.SyncFolder(to_ + "/data");
  }

 private:
  // How many bytes from its start a file of an earlier try holds as they should be: whole chunks.
  absl::StatusOr<uint64_t> GoodBytes(const std::string& path, const FileRecord& file) {
    MUSTER_ASSIGN_OR_RETURN(const bool there, files_.Exists(path));
    if (!there) return uint64_t{0};
    MUSTER_ASSIGN_OR_RETURN(auto old, files_.Open(path));
    if (old->Size() > file.size) return uint64_t{0};
    uint64_t good = 0;
    for (const uint32_t crc : file.chunk_crc32c) {
      const uint64_t bytes = std::min(kChunkBytes, file.size - good);
      if (good + bytes > old->Size()) break;
      buffer_.resize(bytes);
      MUSTER_RETURN_IF_ERROR(old->ReadAt(good, buffer_));
      if (Crc32c(0, buffer_) != crc) break;
      good += bytes;
    }
    return good;
  }

  absl::Status CopyFile(const FileRecord& file) {
    const std::string path = to_ + "/" + file.name;
    const std::string temporary =
        to_ + "/data/.tmp-" + file.name.substr(std::string(kDataFolder).size());
    MUSTER_ASSIGN_OR_RETURN(const uint64_t whole, GoodBytes(path, file));
    if (whole == file.size && whole > 0) {
      resumed_ += whole;
      Advance(whole);
      return absl::OkStatus();
    }
    MUSTER_ASSIGN_OR_RETURN(const uint64_t good, GoodBytes(temporary, file));
    resumed_ += good;
    Advance(good);
    MUSTER_ASSIGN_OR_RETURN(ChunkReader reader, ChunkReader::Open(files_, from_, file));
    MUSTER_ASSIGN_OR_RETURN(
        auto out, good == 0 ? files_.Create(temporary) : files_.CreateAfter(temporary, good));
    // Rounded up: the last chunk may be short, and there already.
    const uint64_t first = (good + kChunkBytes - 1) / kChunkBytes;
    for (uint64_t index = first; index < reader.chunks(); ++index) {
      MUSTER_ASSIGN_OR_RETURN(const std::span<const std::byte> chunk, reader.Read(index));
      MUSTER_RETURN_IF_ERROR(out->Append(chunk));
      Advance(chunk.size());
    }
    MUSTER_RETURN_IF_ERROR(out->Sync());
    MUSTER_RETURN_IF_ERROR(out->Close());
    return files_.Rename(temporary, path);
  }

  void Advance(uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_("copy", done_, TotalBytes(manifest_));
  }

  const std::string& from_;
  const std::string& to_;
  const Manifest& manifest_;
  const CopyProgress& progress_;
  FileSystem& files_;
  std::vector<std::byte> buffer_;
  uint64_t done_ = 0;
  uint64_t resumed_ = 0;
};

VerifyProgress As(const char* what, const CopyProgress& progress) {
  if (!progress) return nullptr;
  return [what, &progress](uint64_t done, uint64_t total) { progress(what, done, total); };
}

absl::Status CheckRoom(const std::string& root, uint64_t needed, FileSystem& files) {
  const absl::StatusOr<uint64_t> free = files.FreeBytes(root);
  if (!free.ok() || *free >= needed) return absl::OkStatus();
  return ResourceExhausted("{} more bytes needed, {} free in {}; make room or copy elsewhere",
                           needed, *free, root);
}

// What an earlier try has written of the shards, good or not: it need not be found again.
uint64_t BytesUnder(const std::string& folder, FileSystem& files) {
  uint64_t bytes = 0;
  const auto entries = files.List(folder);
  if (!entries.ok()) return 0;
  for (const FolderEntry& entry : *entries) {
    const auto file = files.Open(folder + "/" + entry.name);
    if (file.ok()) bytes += (*file)->Size();
  }
  return bytes;
}

}  // namespace

absl::StatusOr<CopyReport> CopyCheckpoint(const std::string& from, const std::string& root,
                                          const CopyProgress& progress, FileSystem& files) {
  MUSTER_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(from, files));
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(from, files));
  const std::string name = CheckpointFolder({commit.step, commit.attempt});
  const std::string what = fmt::format("copy {} to {}", from, root);
  CopyReport report;
  report.path = root + "/" + name;
  MUSTER_ASSIGN_OR_RETURN(const bool taken, files.Exists(report.path));
  if (taken) {
    const absl::StatusOr<CommitRecord> there = ReadCommit(report.path, files);
    if (!there.ok() || *there != commit) {
      return AlreadyExists("{}: another {} is there{}; copy to another folder", what, name,
                           there.ok() ? "" : ", not committed");
    }
    const VerifyReport proof =
        Verify(report.path, As("read back", progress), VerifyDepth::kEverything, files);
    MUSTER_RETURN_IF_ERROR(Annotate(VerifyStatus(report.path, proof), what));
    report.was_there = true;
    report.bytes = TotalBytes(manifest);
    report.files = manifest.files.size();
    return report;
  }
  const std::string temporary = root + "/.tmp-copy-" + name;
  MUSTER_RETURN_IF_ERROR(Annotate(MakeFolders(files, temporary + "/data"), what));
  const uint64_t written = std::min(BytesUnder(temporary + "/data", files), TotalBytes(manifest));
  MUSTER_RETURN_IF_ERROR(Annotate(CheckRoom(root, TotalBytes(manifest) - written, files), what));
  MUSTER_RETURN_IF_ERROR(
      Annotate(Copy(from, temporary, manifest, progress, files).Run(report), what));
  MUSTER_RETURN_IF_ERROR(Annotate(WriteManifest(temporary, manifest, files), what));
  MUSTER_RETURN_IF_ERROR(Annotate(Commit(temporary, commit, files), what));
  const VerifyReport proof =
      Verify(temporary, As("read back", progress), VerifyDepth::kEverything, files);
  MUSTER_RETURN_IF_ERROR(Annotate(VerifyStatus(temporary, proof), what));
  // A folder cannot be renamed over one that holds something.
  MUSTER_RETURN_IF_ERROR(Annotate(files.Rename(temporary, report.path), what));
  MUSTER_RETURN_IF_ERROR(files.SyncFolder(root));
  return report;
}

}  // namespace muster::checkpoint
