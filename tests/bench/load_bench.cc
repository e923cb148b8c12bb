// How fast the ranks of a node get one state back: from storage with every rank reading for itself
// and with each chunk read once and forwarded, from the node's memory in the layout it was saved in
// and in another, beside a plain read of the same bytes and memcpy.
//
// usage: load_bench [FOLDER [MEGABYTES [RANKS [REPEAT]]]]
//
// Two ranks by default, threads of one process, that both want all of it (data-parallel replicas
// without ZeRO), so twice MEGABYTES arrive. Floor: from storage MEGABYTES / what one stream reads;
// from memory what arrives / memcpy. The page cache is told to forget the shards before each read.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "common/check.h"
#include "rank/checkpoint/load_state.h"
#include "trainer/collective/in_process/in_process.h"

namespace {

namespace checkpoint = muster::checkpoint;
using Bytes = std::vector<std::byte>;

constexpr uint64_t kColumns = 1024;
constexpr size_t kTensors = 8;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A state of eight tensors, written by as many writers as there are ranks: each has its rows.
struct State {
  std::vector<checkpoint::Box> tensors;
  std::vector<Bytes> bytes;
  std::string folder;
  checkpoint::Manifest manifest;
  std::vector<Bytes> images;  // the shards' files
};

State Write(const std::string& root, uint64_t megabytes, size_t writers) {
  State state;
  const uint64_t rows = megabytes * 1'000'000 / kTensors / 4 / kColumns / writers * writers;
  for (size_t i = 0; i < kTensors; ++i) {
    state.tensors.push_back(
        checkpoint::WholeTensor(fmt::format("t{}", i), checkpoint::DType::kF32, {rows, kColumns}));
    Bytes& bytes = state.bytes.emplace_back(rows * kColumns * 4);
    for (size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<std::byte>(at * 31 + i);
  }
  const auto folder = checkpoint::PrepareCheckpointFolder(root, {1, 1});
  CHECK(folder.ok(), "{}", std::string(folder.status().message()));
  state.folder = *folder;
  std::vector<checkpoint::ShardDigest> digests;
  for (size_t w = 0; w < writers; ++w) {
    std::vector<checkpoint::Slice> slices;
    for (size_t i = 0; i < kTensors; ++i) {
      checkpoint::Box box = state.tensors[i];
      box.extent[0] = rows / writers;
      box.offset[0] = w * box.extent[0];
      const uint64_t part = checkpoint::ByteCount(box);
      slices.push_back({box, std::span(state.bytes[i]).subspan(w * part, part)});
    }
    const auto digest = checkpoint::WriteShard(state.folder, checkpoint::WriterName(w), slices);
    CHECK(digest.ok(), "{}", std::string(digest.status().message()));
    digests.push_back(*digest);
  }
  const auto manifest = checkpoint::BuildManifest(1, 1, "bench", {}, digests);
  CHECK(manifest.ok(), "{}", std::string(manifest.status().message()));
  state.manifest = *manifest;
  CHECK(checkpoint::WriteManifest(state.folder, *manifest).ok(), "no manifest");
  CHECK(checkpoint::Commit(state.folder, {1, 1, 0, manifest->sha256}).ok(), "no commit");
  return state;
}

void Forget(const State& state) {
  for (const checkpoint::FileRecord& file : state.manifest.files) {
    const int fd = open((state.folder + "/" + file.name).c_str(), O_RDONLY);
    CHECK(fd >= 0, "open {}: errno {}", file.name, errno);
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise: errno {}", errno);
    close(fd);
  }
}

// All shards, one behind the other; kept as images.
double PlainRead(State& state) {
  state.images.clear();
  for (const checkpoint::FileRecord& file : state.manifest.files) {
    state.images.emplace_back(file.size);
  }
  const double begin = Seconds();
  for (size_t i = 0; i < state.images.size(); ++i) {
    const int fd = open((state.folder + "/" + state.manifest.files[i].name).c_str(), O_RDONLY);
    CHECK(fd >= 0, "open: errno {}", errno);
    for (size_t at = 0; at < state.images[i].size();) {
      const ssize_t got =
          pread(fd, state.images[i].data() + at,
                std::min<size_t>(4u << 20, state.images[i].size() - at), static_cast<off_t>(at));
      CHECK(got > 0, "read: errno {}", errno);
      at += static_cast<size_t>(got);
    }
    close(fd);
  }
  return Seconds() - begin;
}

double OnAllRanks(size_t ranks, const std::function<void(size_t, muster::rank::Group&)>& run) {
  auto world = muster::trainer::collective::MakeInProcessWorld(static_cast<int>(ranks));
  std::vector<std::thread> threads;
  const double begin = Seconds();
  for (size_t r = 0; r < ranks; ++r) threads.emplace_back([&, r] { run(r, *world[r]); });
  for (std::thread& thread : threads) thread.join();
  return Seconds() - begin;
}

void Print(const char* what, std::vector<double> seconds, double bytes, double floor_seconds) {
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  std::printf("  %-44s %6.2f GB/s median, %.2f to %.2f; %3.0f %% of its floor\n", what,
              bytes / median / 1e9, bytes / seconds.back() / 1e9, bytes / seconds.front() / 1e9,
              100 * floor_seconds / median);
}

double Median(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::string root = argc > 1 ? argv[1] : "load_bench.tmp";
  const uint64_t megabytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 512;
  const size_t ranks = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 2;
  const size_t repeat = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 5;
  State state = Write(root, megabytes, ranks);
  std::vector<std::vector<Bytes>> back(ranks);
  std::vector<std::vector<checkpoint::Request>> whole(ranks);
  std::vector<std::vector<checkpoint::Request>> columns(ranks);  // of the same buffers
  for (size_t r = 0; r < ranks; ++r) {
    for (size_t i = 0; i < kTensors; ++i) {
      Bytes& to = back[r].emplace_back(state.bytes[i].size());
      whole[r].push_back({state.tensors[i], to});
      checkpoint::Box box = state.tensors[i];
      box.extent[1] = kColumns / 2;
      columns[r].push_back({box, std::span(to).first(to.size() / 2)});
      box.offset[1] = kColumns / 2;
      columns[r].push_back({box, std::span(to).subspan(to.size() / 2)});
    }
  }
  const auto load = [&](const std::vector<std::vector<checkpoint::Request>>& requests,
                        bool memory) {
    return OnAllRanks(ranks, [&](size_t r, muster::rank::Group& group) {
      muster::rank::LoadSources sources;
      if (memory) {
        sources.shards.push_back({r, state.images[r]});
      } else {
        sources.folder = state.folder;
      }
      const auto loaded = muster::rank::LoadState(state.manifest, requests[r], sources, group,
                                                  checkpoint::PosixFiles());
      CHECK(loaded.ok(), "{}", std::string(loaded.status().message()));
    });
  };
  std::vector<double> plain, copy, each, once, same, other;
  for (size_t run = 0; run < repeat; ++run) {
    Forget(state);
    plain.push_back(PlainRead(state));
    double begin = Seconds();
    for (size_t r = 0; r < ranks; ++r) {
      for (size_t i = 0; i < kTensors; ++i) {
        std::memcpy(back[r][i].data(), state.bytes[i].data(), state.bytes[i].size());
      }
    }
    copy.push_back(Seconds() - begin);
    Forget(state);
    each.push_back(OnAllRanks(ranks, [&](size_t r, muster::rank::Group&) {
      const auto loaded = checkpoint::Load(state.folder, state.manifest, whole[r]);
      CHECK(loaded.ok(), "{}", std::string(loaded.status().message()));
    }));
    Forget(state);
    once.push_back(load(whole, false));
    CHECK(back[ranks - 1] == state.bytes, "what was loaded is not what was saved");
    same.push_back(load(whole, true));
    CHECK(back[0] == state.bytes, "what was loaded is not what was saved");
    other.push_back(load(columns, true));
  }
  std::filesystem::remove_all(root);
  double bytes = 0;
  for (const Bytes& one : state.bytes) bytes += static_cast<double>(one.size());
  const double arrived = bytes * static_cast<double>(ranks);
  std::printf("a state of %.0f MB, wanted whole by %zu ranks of a node, %zu runs\n", bytes / 1e6,
              ranks, repeat);
  Print("plain read of it, once", plain, bytes, Median(plain));
  Print("memcpy of what arrives", copy, arrived, Median(copy));
  Print("storage, every rank for itself (arriving)", each, arrived, Median(plain));
  Print("storage, read once and forwarded", once, arrived, Median(plain));
  Print("memory, as it was saved", same, arrived, Median(copy));
  Print("memory, other cuts (columns)", other, arrived, Median(copy));
  return 0;
}
