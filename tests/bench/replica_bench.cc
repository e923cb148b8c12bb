// A slot's copy on another node beside a plain TCP copy of the same bytes, over the loopback, and
// what the copy costs in processor time.
//
// usage: replica_bench [MEGABYTES [REPEAT]]
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/digest.h"
#include "checkpoint/slot_file.h"
#include "common/check.h"
#include "worker/rpc/peer_server.h"
#include "worker/rpc/vault_client.h"
#include "worker/vault/fetch.h"

namespace {

using muster::checkpoint::SlotFile;
namespace rpc = muster::worker::rpc;
namespace vault = muster::worker::vault;

constexpr char kJob[] = "bench-1-0";

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double ProcessorSeconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return of(use.ru_utime) + of(use.ru_stime);
}

struct Times {
  std::vector<double> wall, processor;

  template <typename Work>
  void Add(const Work& work) {
    const double begin = Seconds(), used = ProcessorSeconds();
    work();
    wall.push_back(Seconds() - begin);
    processor.push_back(ProcessorSeconds() - used);
  }
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Print(const char* what, const Times& times, double bytes) {
  const auto [least, most] = std::minmax_element(times.wall.begin(), times.wall.end());
  std::printf("  %-40s %6.2f GB/s median, %.2f to %.2f (%zu runs), %.2f s of processor per GB\n",
              what, bytes / Median(times.wall) / 1e9, bytes / *most / 1e9, bytes / *least / 1e9,
              times.wall.size(), Median(times.processor) / (bytes / 1e9));
}

// Bytes to a thread that receives them into memory of its own; an answer of one byte ends it.
void CopyOverTcp(std::span<const std::byte> bytes, std::span<std::byte> to) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
            listen(listener, 1) == 0 &&
            getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0,
        "listen on the loopback: errno {}", errno);
  std::thread receiver([&] {
    const int from = accept(listener, nullptr, nullptr);
    for (size_t at = 0; at < to.size();) {
      const ssize_t got = read(from, to.data() + at, std::min<size_t>(1u << 20, to.size() - at));
      CHECK(got > 0, "receive: errno {}", errno);
      at += static_cast<size_t>(got);
    }
    CHECK(write(from, "k", 1) == 1, "answer: errno {}", errno);
    close(from);
  });
  const int out = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(out, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0,
        "connect: errno {}", errno);
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t put =
        write(out, bytes.data() + at, std::min<size_t>(1u << 20, bytes.size() - at));
    CHECK(put > 0, "send: errno {}", errno);
    at += static_cast<size_t>(put);
  }
  char answer = 0;
  CHECK(read(out, &answer, 1) == 1, "answer: errno {}", errno);
  close(out);
  receiver.join();
  close(listener);
}

// The same into a new file in memory.
void CopyOverTcpIntoNew(std::span<const std::byte> bytes, const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(file >= 0 && ftruncate(file, static_cast<off_t>(bytes.size())) == 0, "make {}: errno {}",
        path, errno);
  void* memory = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(memory != MAP_FAILED, "map {}: errno {}", path, errno);
  CopyOverTcp(bytes, {static_cast<std::byte*>(memory), bytes.size()});
  munmap(memory, bytes.size());
  close(file);
  unlink(path.c_str());
}

SlotFile Sealed(const std::string& folder, uint64_t step, uint64_t floats) {
  const std::vector<muster::checkpoint::Box> boxes = {
      muster::checkpoint::WholeTensor("w", muster::checkpoint::DType::kF32, {floats})};
  const auto layout = muster::checkpoint::LayOutShard("w00000", boxes).value();
  auto file = SlotFile::Reserve(folder + "/r00000.a", muster::checkpoint::SlotBytes(layout));
  CHECK(file.ok(), "{}", std::string(file.status().message()));
  CHECK(file->slot().BeginFill({kJob, step, 1, 0, 2}, layout).ok(), "fill");
  const auto image = file->slot().image();
  for (size_t at = 0; at < image.size(); ++at) image[at] = static_cast<std::byte>(at * 7 + step);
  std::memcpy(image.data(), layout.header.data(), layout.header.size());
  muster::checkpoint::ChunkCrc crc;
  crc.Add(image);
  CHECK(file->slot()
            .Seal({{layout.name, layout.bytes, crc.Finish()}, layout.pieces}, {}, folder, {})
            .ok(),
        "seal");
  return *std::move(file);
}

}  // namespace

int main(int argc, char** argv) {
  const size_t megabytes = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1024;
  const size_t repeat = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 5;
  const std::string root = "/dev/shm/replica-bench-" + std::to_string(getpid());
  std::filesystem::create_directories(root + "/own");
  auto opened = vault::Vault::Open({.folder = root + "/vault", .bytes = 64ull << 30, .slots = 1});
  CHECK(opened.ok() && opened->Add(kJob).ok(), "a vault in {}", root);
  vault::Intake intake(*opened);
  intake.SetOwn(kJob, {.attempt = 1, .first_rank = 1, .ranks = 1});
  auto server = rpc::PeerServer::Listen("127.0.0.1:0", std::make_shared<rpc::ExchangeBoard>(),
                                        std::make_shared<rpc::LiveRanks>(), root, intake);
  CHECK(server.ok(), "{}", std::string(server.status().message()));
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  const auto peer = rpc::DialVault(address);
  Times tcp, put, new_tcp, get, copy;
  double bytes = 0;
  for (size_t run = 1; run <= repeat + 1; ++run) {
    const SlotFile file = Sealed(root + "/own", run, megabytes * 1'000'000 / 4);
    const vault::SlotHead head = vault::HeadOf(file).value();
    std::vector<std::byte> memory(file.bytes().size());
    bytes = static_cast<double>(file.bytes().size());
    Times warm;  // the first run pays for pages that later ones find
    const auto of = [&](Times& times) -> Times& { return run == 1 ? warm : times; };
    of(copy).Add([&] { std::memcpy(memory.data(), file.bytes().data(), memory.size()); });
    of(tcp).Add([&] { CopyOverTcp(file.bytes(), memory); });
    of(put).Add([&] {
      const auto held = peer->Offer(head, 1);
      CHECK(held.ok() && !*held, "offer: {}", std::string(held.status().message()));
      const absl::Status sent = peer->Put(head, 1, file, [] { return true; });
      CHECK(sent.ok(), "{}", std::string(sent.message()));
    });
    std::filesystem::create_directories(root + "/new");
    const auto plain = [&] { CopyOverTcpIntoNew(file.bytes(), root + "/new/plain"); };
    const auto fetch = [&] {
      const vault::FetchOrder order{root + "/new",          kJob, 2, 0, {2, 0, 1},
                                    {{"n", address, 0, 1}}, {}};
      const vault::Fetched fetched = vault::FetchSlots(order, rpc::DialVault, [] { return true; });
      CHECK(fetched.slots == 1, "fetched {} slots", fetched.slots);
    };
    // By turns: whoever comes second may find the pages that the first gave back.
    if (run % 2 == 0) of(new_tcp).Add(plain);
    of(get).Add(fetch);
    if (run % 2 == 1) of(new_tcp).Add(plain);
    std::filesystem::remove_all(root + "/new");
  }
  server->reset();
  std::filesystem::remove_all(root);
  std::printf("one slot of %.0f MB over the loopback, sender and receiver in one process\n",
              bytes / 1e6);
  Print("memcpy", copy, bytes);
  Print("plain TCP copy (limit)", tcp, bytes);
  Print("replicate: sent, verified, sealed", put, bytes);
  Print("plain TCP copy into new memory (limit)", new_tcp, bytes);
  Print("fetch into new memory, verified, sealed", get, bytes);
  std::printf("  of a plain TCP copy's rate: replicate %.2f, fetch %.2f\n",
              Median(tcp.wall) / Median(put.wall), Median(new_tcp.wall) / Median(get.wall));
  return 0;
}
