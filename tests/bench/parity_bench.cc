// Parity in a group of nodes over the loopback: what a slot costs to give, what a lost one costs to
// compute, and the memory that takes, beside whole copies.
//
// usage: parity_bench [MEGABYTES [MEMBERS [REPEAT]]]
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/digest.h"
#include "checkpoint/slot_file.h"
#include "common/check.h"
#include "worker/rpc/peer_server.h"
#include "worker/rpc/vault_client.h"
#include "worker/vault/fetch.h"
#include "worker/vault/parity_send.h"

namespace {

using muster::checkpoint::SlotFile;
namespace rpc = muster::worker::rpc;
namespace vault = muster::worker::vault;

constexpr char kJob[] = "bench-1-0";

double Seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// One node of the group: its vault, and its worker's server.
struct Node {
  std::string root;
  std::string folder;
  std::unique_ptr<vault::Intake> intake;
  std::unique_ptr<rpc::PeerServer> server;
};

Node NodeAt(const std::string& root, uint32_t rank) {
  std::filesystem::create_directories(root);
  auto opened = vault::Vault::Open({.folder = root + "/vault", .bytes = 64ull << 30, .slots = 1});
  CHECK(opened.ok() && opened->Add(kJob).ok(), "a vault in {}", root);
  Node node{root, opened->FolderOf(kJob), std::make_unique<vault::Intake>(*opened), nullptr};
  node.intake->SetOwn(kJob, {.attempt = 1, .first_rank = rank, .ranks = 1});
  auto server = rpc::PeerServer::Listen("127.0.0.1:0", std::make_shared<rpc::ExchangeBoard>(),
                                        std::make_shared<rpc::LiveRanks>(), root, *node.intake);
  CHECK(server.ok(), "{}", std::string(server.status().message()));
  node.server = *std::move(server);
  return node;
}

SlotFile Sealed(const std::string& folder, uint32_t rank, uint32_t world, uint64_t step,
                uint64_t floats) {
  const std::vector<muster::checkpoint::Box> boxes = {
      muster::checkpoint::WholeTensor("w", muster::checkpoint::DType::kF32, {floats})};
  const auto layout =
      muster::checkpoint::LayOutShard(muster::checkpoint::WriterName(rank), boxes).value();
  const char letter = step % 2 == 0 ? 'a' : 'b';
  auto file = SlotFile::Reserve(folder + "/" + muster::checkpoint::SlotFileName(rank, letter),
                                muster::checkpoint::SlotBytes(layout));
  CHECK(file.ok(), "{}", std::string(file.status().message()));
  CHECK(file->slot().BeginFill({kJob, step, 1, rank, world}, layout).ok(), "fill");
  const auto image = file->slot().image();
  for (size_t at = 0; at < image.size(); ++at) {
    image[at] = static_cast<std::byte>(at * 7 + step + uint64_t{rank} * 31);
  }
  std::memcpy(image.data(), layout.header.data(), layout.header.size());
  muster::checkpoint::ChunkCrc crc;
  crc.Add(image);
  CHECK(file->slot()
            .Seal({{layout.name, layout.bytes, crc.Finish()}, layout.pieces}, {}, folder, {})
            .ok(),
        "seal");
  return *std::move(file);
}

// Memory of the files of a folder whose names begin so.
double Kept(const std::string& folder, char first) {
  double bytes = 0;
  for (const auto& one : std::filesystem::directory_iterator(folder)) {
    if (one.path().filename().string().front() == first) {
      bytes += static_cast<double>(one.file_size());
    }
  }
  return bytes;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const size_t megabytes = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 256;
  const auto members = static_cast<uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 3);
  const size_t repeat = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 5;
  const std::string root = "/dev/shm/parity-bench-" + std::to_string(getpid());
  std::vector<Node> nodes;
  std::vector<vault::ParityMember> group;
  for (uint32_t i = 0; i < members; ++i) {
    nodes.push_back(NodeAt(root + "/n" + std::to_string(i), i));
    group.push_back({"n" + std::to_string(i),
                     "127.0.0.1:" + std::to_string(nodes.back().server->port()),
                     {i, 1}});
  }
  std::vector<double> give, compute;
  double bytes = 0;
  for (size_t run = 1; run <= repeat + 2; ++run) {  // two pay for pages that later ones find
    for (uint32_t rank = 0; rank < members; ++rank) {
      const SlotFile file =
          Sealed(nodes[rank].folder, rank, members, run, megabytes * 1'000'000 / 4);
      bytes = static_cast<double>(file.bytes().size());
      const double seconds = Seconds([&] {
        for (const vault::ChunkOffer& offer :
             vault::ChunkOffers(vault::HeadOf(file).value(), group, 1, file)) {
          const absl::Status sent = vault::SendChunk(*rpc::DialVault(group[offer.holder].address),
                                                     offer, file, [] { return true; });
          CHECK(sent.ok(), "{}", std::string(sent.message()));
        }
      });
      if (run > 2) give.push_back(seconds);
    }
  }
  const double own = Kept(nodes[1].folder, 'r'), parity = Kept(nodes[1].folder, 'p');
  nodes[0].server.reset();  // lost
  for (size_t run = 1; run <= repeat; ++run) {
    const std::string fresh = root + "/new";
    std::filesystem::create_directories(fresh);
    vault::FetchOrder order{fresh, kJob, members, 0, {2, 0, 1}, {}, {}};
    for (uint32_t i = 1; i < members; ++i) {
      order.parity.push_back({group[i].node, group[i].address, i, 1});
    }
    compute.push_back(Seconds([&] {
      const vault::Fetched fetched = vault::FetchSlots(order, rpc::DialVault, [] { return true; });
      CHECK(fetched.computed == 2, "computed {} slots: {}", fetched.computed,
            fetched.troubles.empty() ? "" : fetched.troubles.front());
    }));
    std::filesystem::remove_all(fresh);
  }
  std::printf("slots of %.0f MB, a group of %u nodes over the loopback, all in one process\n",
              bytes / 1e6, members);
  std::printf("  give a slot to its rows            %.3f s median of %zu, %.2f GB/s\n",
              Median(give), give.size(), bytes / Median(give) / 1e9);
  std::printf("  compute the two slots of a rank    %.3f s median of %zu, %.2f GB/s\n",
              Median(compute), compute.size(), 2 * bytes / Median(compute) / 1e9);
  std::printf("  memory of a node beside its own %.0f MB: %.0f MB, %.3f of what copies take\n",
              own / 1e6, parity / 1e6, parity / own);
  nodes.clear();
  std::filesystem::remove_all(root);
  return 0;
}
