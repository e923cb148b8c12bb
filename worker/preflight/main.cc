// muster-preflight: tests the machine it runs on. One line on stdout: what was measured, or what
// failed.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "common/duration.h"
#include "worker/preflight/disk.h"
#include "worker/preflight/matrix.h"
#include "worker/preflight/memory.h"

namespace {

namespace preflight = muster::worker::preflight;

constexpr char kFooter[] = R"(
Example: the test a quarantined node makes before it is let back in
  muster-preflight --folder /var/lib/muster/worker

It multiplies matrices whose product is known and compares every bit, fills memory with patterns and
reads them back, and writes a file that it syncs, reads back and compares. GPUs are not tested.
Exit codes: 0 passed, 1 failed (the line says what), 2 wrong use. A test that takes longer than
--limit ends itself by SIGALRM.)";

int Say(const std::string& line, int code) {
  fmt::print("{}\n", line);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  preflight::MatrixOptions matrix;
  preflight::MemoryOptions memory;
  preflight::DiskOptions disk;
  disk.folder = ".";
  matrix.threads = std::max(1u, std::thread::hardware_concurrency());
  double seconds = 3;
  double memory_share = 0.25;
  uint64_t memory_mb = 1024;
  uint64_t disk_mb = 64;
  uint32_t limit_seconds = 60;

  CLI::App app{"Tests this machine: processor, memory, disk."};
  app.footer(kFooter);
  app.set_version_flag("--version", "muster-preflight " MUSTER_VERSION);
  app.add_option("--folder", disk.folder, "Where the disk test writes its file")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "How long processor and memory are tested, each")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--threads", matrix.threads, "Threads of the processor test")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  app.add_option("--matrix-size", matrix.size, "Rows and columns of the matrices")
      ->check(CLI::Range(16u, 1024u))
      ->capture_default_str();
  app.add_option("--memory-share", memory_share, "Of the memory that is free, tested")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  app.add_option("--memory-mb", memory_mb, "At most so many megabytes of it")
      ->check(CLI::Range(1u, 1u << 24))
      ->capture_default_str();
  app.add_option("--disk-mb", disk_mb, "Megabytes written and read back")
      ->check(CLI::Range(1u, 1u << 24))
      ->capture_default_str();
  app.add_option("--limit", limit_seconds, "Seconds for everything")
      ->check(CLI::Range(1u, 86400u))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  alarm(limit_seconds);
  const absl::Time begin = absl::Now();
  matrix.span = memory.span = absl::Seconds(seconds);
  const auto product = preflight::TestMatrix(matrix);
  if (!product.ok()) return Say(std::string(product.status().message()), 1);
  memory.bytes = preflight::BytesToTest(memory_share, memory_mb << 20);
  const auto words = preflight::TestMemory(memory);
  if (!words.ok()) return Say(std::string(words.status().message()), 1);
  disk.bytes = disk_mb << 20;
  const auto file = preflight::TestDisk(disk);
  if (!file.ok()) return Say(std::string(file.status().message()), 1);
  return Say(
      fmt::format("processor {:.1f} GFLOP/s on {} threads, memory {:.1f} GB/s over {} MB, disk "
                  "{:.0f} MB/s written and {:.0f} MB/s read over {} MB; in {}",
                  *product, matrix.threads, *words / 1e9, memory.bytes >> 20,
                  file->write_bytes_per_second / 1e6, file->read_bytes_per_second / 1e6,
                  file->bytes >> 20, muster::DurationText(absl::Now() - begin)),
      0);
}
