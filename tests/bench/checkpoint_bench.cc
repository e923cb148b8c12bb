// How fast one writer makes a shard durable and reads it back verified, in its own layout and in
// another, beside plain writes and reads of the same file system and memcpy.
//
// usage: checkpoint_bench [FOLDER [MEGABYTES [REPEAT]]]
//
// Floor: bytes / what the disk takes in one stream. The page cache is told to forget the shard
// before it is read. The file is removed afterwards.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/commit.h"
#include "checkpoint/fingerprint.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "common/check.h"

namespace {

using muster::checkpoint::Box;
using Bytes = std::vector<std::byte>;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Print(const char* what, std::vector<double> seconds, double bytes) {
  std::sort(seconds.begin(), seconds.end());
  std::printf("  %-34s %6.2f GB/s median, %.2f to %.2f (%zu runs)\n", what,
              bytes / seconds[seconds.size() / 2] / 1e9, bytes / seconds.back() / 1e9,
              bytes / seconds.front() / 1e9, seconds.size());
}

void Forget(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY);
  CHECK(file >= 0, "open {}: errno {}", path, errno);
  CHECK(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise {}: errno {}", path, errno);
  close(file);
}

// The same bytes from one file to memory, without looking at them.
double PlainRead(const std::string& path, std::byte* to, size_t bytes) {
  const double begin = Seconds();
  const int file = open(path.c_str(), O_RDONLY);
  CHECK(file >= 0, "open {}: errno {}", path, errno);
  for (size_t at = 0; at < bytes;) {
    const ssize_t got =
        pread(file, to + at, std::min<size_t>(4u << 20, bytes - at), static_cast<off_t>(at));
    CHECK(got > 0, "read {}: errno {}", path, errno);
    at += static_cast<size_t>(got);
  }
  close(file);
  return Seconds() - begin;
}

double PlainWrite(const std::string& path, const std::byte* from, size_t bytes) {
  const double begin = Seconds();
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(file >= 0, "create {}: errno {}", path, errno);
  for (size_t at = 0; at < bytes;) {
    const ssize_t put = write(file, from + at, std::min<size_t>(4u << 20, bytes - at));
    CHECK(put > 0, "write {}: errno {}", path, errno);
    at += static_cast<size_t>(put);
  }
  CHECK(fdatasync(file) == 0, "sync {}: errno {}", path, errno);
  close(file);
  return Seconds() - begin;
}

// Left and right half of a tensor of two dimensions, as two ranks of a column-parallel layer own
// it.
Box Half(const Box& whole, uint64_t which) {
  Box half = whole;
  half.extent[1] = whole.shape[1] / 2;
  half.offset[1] = which * half.extent[1];
  return half;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string root = argc > 1 ? argv[1] : "checkpoint_bench.tmp";
  const size_t megabytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1024;
  const size_t repeat = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 5;
  constexpr uint64_t kColumns = 1024;
  const uint64_t rows = megabytes * 1'000'000 / 8 / 4 / kColumns;
  const uint64_t each = rows * kColumns * 4;
  std::vector<Bytes> tensors(8, Bytes(each)), back(8, Bytes(each));
  std::vector<muster::checkpoint::Slice> slices;
  std::vector<muster::checkpoint::Request> requests, halves;
  for (size_t i = 0; i < tensors.size(); ++i) {
    for (size_t at = 0; at < each; ++at) tensors[i][at] = static_cast<std::byte>(at * 31 + i);
    const Box box = muster::checkpoint::WholeTensor(
        fmt::format("t{}", i), muster::checkpoint::DType::kF32, {rows, kColumns});
    slices.push_back({box, tensors[i]});
    requests.push_back({box, back[i]});
    for (const uint64_t which : {0u, 1u}) {
      halves.push_back({Half(box, which), std::span(back[i]).subspan(which * each / 2, each / 2)});
    }
  }
  std::vector<double> write, read, other, copy, print, plain_write, plain_read;
  Bytes flat(each * 8);
  for (size_t run = 0; run < repeat; ++run) {
    const muster::checkpoint::CheckpointId id{run + 1, 1};
    const auto prepared = muster::checkpoint::PrepareCheckpointFolder(root, id);
    CHECK(prepared.ok(), "{}", std::string(prepared.status().message()));
    const std::string& folder = *prepared;
    double begin = Seconds();
    const auto digest = muster::checkpoint::WriteShard(folder, "w00000", slices);
    write.push_back(Seconds() - begin);
    CHECK(digest.ok(), "{}", std::string(digest.status().message()));
    const auto manifest =
        muster::checkpoint::BuildManifest(id.step, id.attempt, "bench", {}, {&*digest, 1});
    CHECK(manifest.ok(), "{}", std::string(manifest.status().message()));
    CHECK(muster::checkpoint::WriteManifest(folder, *manifest).ok(), "no manifest in {}", folder);
    const muster::checkpoint::CommitRecord commit{id.step, id.attempt, 0, manifest->sha256};
    CHECK(muster::checkpoint::Commit(folder, commit).ok(), "no commit in {}", folder);
    Forget(folder + "/" + digest->file.name);
    begin = Seconds();
    const auto loaded = muster::checkpoint::Load(folder, *manifest, requests);
    read.push_back(Seconds() - begin);
    CHECK(loaded.ok(), "{}", std::string(loaded.status().message()));
    CHECK(back[7] == tensors[7], "what was read is not what was written");
    const std::string shard = folder + "/" + digest->file.name;
    Forget(shard);
    plain_read.push_back(PlainRead(shard, flat.data(), flat.size()));
    Forget(shard);
    begin = Seconds();
    const auto reshaped = muster::checkpoint::Load(folder, *manifest, halves);
    other.push_back(Seconds() - begin);
    CHECK(reshaped.ok(), "{}", std::string(reshaped.status().message()));
    CHECK(
        std::memcmp(back[7].data() + each / 2, tensors[7].data() + kColumns * 2, kColumns * 2) == 0,
        "the right half is not what was written");
    CHECK(reshaped->bytes_read < each * 8 + (64u << 20), "bytes were read twice");
    plain_write.push_back(PlainWrite(root + "/plain", flat.data(), flat.size()));
    begin = Seconds();
    for (size_t i = 0; i < back.size(); ++i) std::memcpy(back[i].data(), tensors[i].data(), each);
    copy.push_back(Seconds() - begin);
    begin = Seconds();
    uint64_t sum = 0;
    for (const muster::checkpoint::Slice& slice : slices) {
      sum += muster::checkpoint::Fingerprint(slice.box, slice.bytes);
    }
    print.push_back(Seconds() - begin);
    CHECK(sum != 0, "a fingerprint of nothing");
  }
  std::filesystem::remove_all(root);
  const double bytes = static_cast<double>(each) * 8;
  std::printf("one writer, %zu MB in 8 tensors\n", megabytes);
  Print("plain write and fdatasync (limit)", plain_write, bytes);
  Print("written, checksummed and durable", write, bytes);
  Print("plain read (limit)", plain_read, bytes);
  Print("read and verified", read, bytes);
  Print("the same into two column halves", other, bytes);
  Print("memcpy into faulted pages", copy, bytes);
  Print("fingerprint", print, bytes);
  return 0;
}
