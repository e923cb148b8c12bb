// RAM slots beside their limits, all in one run: filling one against memcpy, loading from one
// against memcpy, draining one against direct writes of the same disk.
//
// usage: slot_bench [FOLDER [MEGABYTES [REPEAT]]]
//
// FOLDER (on a disk) and a folder in /dev/shm are made and removed. Runs of the contestants
// alternate, so that a disk that slows down slows down both.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/digest.h"
#include "checkpoint/slot_file.h"
#include "checkpoint/store.h"
#include "common/check.h"
#include "worker/vault/drain.h"

namespace {

using muster::checkpoint::SlotFile;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Print(const char* what, std::vector<double> seconds, double bytes) {
  std::sort(seconds.begin(), seconds.end());
  std::printf("  %-44s %6.2f GB/s median, %.2f to %.2f (%zu runs)\n", what,
              bytes / seconds[seconds.size() / 2] / 1e9, bytes / seconds.back() / 1e9,
              bytes / seconds.front() / 1e9, seconds.size());
}

// What the disk takes: pieces of 4 MiB from memory, room made before, then fdatasync.
double DirectWrite(const std::string& path, uint64_t bytes, int lanes) {
  constexpr uint64_t kPiece = 4u << 20;
  const double begin = Seconds();
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);
  if (fd < 0) fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0, "create {}: errno {}", path, errno);
  if (fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0) errno = 0;  // a wish
  std::atomic<uint64_t> next = 0;
  const auto work = [&] {
    auto* buffer = new (std::align_val_t(4096)) std::byte[kPiece];
    std::memset(buffer, 7, kPiece);
    for (uint64_t at = next.fetch_add(kPiece); at < bytes; at = next.fetch_add(kPiece)) {
      const uint64_t part = std::min(kPiece, bytes - at) / 4096 * 4096;
      CHECK(pwrite(fd, buffer, part, static_cast<off_t>(at)) == static_cast<ssize_t>(part),
            "write {}: errno {}", path, errno);
    }
    operator delete[](buffer, std::align_val_t(4096));
  };
  std::vector<std::thread> threads;
  for (int lane = 1; lane < lanes; ++lane) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  CHECK(fdatasync(fd) == 0, "sync {}: errno {}", path, errno);
  close(fd);
  const double seconds = Seconds() - begin;
  unlink(path.c_str());
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string root = argc > 1 ? argv[1] : "slot_bench.tmp";
  const size_t megabytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1024;
  const size_t repeat = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 5;
  const uint64_t floats = megabytes * 1'000'000 / 4;
  const std::string vault = "/dev/shm/slot-bench-" + std::to_string(getpid());
  std::filesystem::create_directories(root);
  std::filesystem::create_directories(vault);
  std::vector<float> state(floats), back(floats);
  for (size_t i = 0; i < floats; ++i) state[i] = static_cast<float>(i % 1000);
  const auto bytes = std::as_bytes(std::span(state));
  const std::vector<muster::checkpoint::Box> boxes = {
      muster::checkpoint::WholeTensor("w", muster::checkpoint::DType::kF32, {floats})};
  const auto layout = muster::checkpoint::LayOutShard("w00000", boxes).value();
  double begin = Seconds();
  auto file = SlotFile::Reserve(vault + "/r00000.a", muster::checkpoint::SlotBytes(layout));
  CHECK(file.ok(), "{}", std::string(file.status().message()));
  const double reserved = Seconds() - begin;
  muster::checkpoint::RamSlot& slot = file->slot();
  std::vector<double> copy, fill_copy, fill, copy_back, load, direct, drain;
  for (size_t run = 1; run <= repeat; ++run) {
    begin = Seconds();
    std::memcpy(back.data(), state.data(), bytes.size());
    copy.push_back(Seconds() - begin);

    begin = Seconds();
    CHECK(slot.BeginFill({"bench", run, 1, 0, 1}, layout).ok(), "fill");
    const auto image = slot.image();
    std::memcpy(image.data(), layout.header.data(), layout.header.size());
    std::memcpy(image.data() + layout.pieces[0].begin, bytes.data(), bytes.size());
    fill_copy.push_back(Seconds() - begin);
    muster::checkpoint::ChunkCrc crc;
    crc.Add(image);
    CHECK(slot.Seal({{layout.name, layout.bytes, crc.Finish()}, layout.pieces}, {}, root,
                    {.drain = true})
              .ok(),
          "seal");
    fill.push_back(Seconds() - begin);

    begin = Seconds();
    const auto content = slot.Read();
    CHECK(content.ok() && slot.VerifyImage(*content).ok(), "verify");
    const double verified = Seconds();
    std::memcpy(back.data(), slot.image(*content).data() + layout.pieces[0].begin, bytes.size());
    copy_back.push_back(Seconds() - verified);
    load.push_back(Seconds() - begin);
    CHECK(back[floats - 1] == state[floats - 1], "what was loaded is not what was sealed");

    direct.push_back(
        DirectWrite(root + "/limit", layout.bytes, muster::worker::vault::DrainOptions().lanes));
    CHECK(slot.Hold(muster::checkpoint::kHeldByDrain), "hold");
    const auto drained = muster::worker::vault::DrainSlot(*file, {}, [] { return true; });
    CHECK(drained.ok(), "{}", std::string(drained.status().message()));
    drain.push_back(drained->seconds);
    slot.Mark(muster::checkpoint::kSlotPersisted);
    slot.Release(muster::checkpoint::kHeldByDrain);
    std::filesystem::remove_all(root + "/" + muster::checkpoint::CheckpointFolder({run, 1}));
    if (run == 1 && !drained->direct) std::printf("  (this disk takes no direct writes)\n");
  }
  std::filesystem::remove_all(root);
  std::filesystem::remove_all(vault);
  const auto size = static_cast<double>(layout.bytes);
  std::printf("one rank, %zu MB; making room for a slot once: %.2f s\n", megabytes, reserved);
  Print("memcpy into faulted pages (limit)", copy, size);
  Print("copy into a slot: what is not hidden waits", fill_copy, size);
  Print("copy, checksum and seal", fill, size);
  Print("copy out of a slot", copy_back, size);
  Print("verify and copy out: a resume", load, size);
  Print("direct writes, as many at a time (limit)", direct, size);
  Print("drain: verified and durable", drain, size);
  return 0;
}
