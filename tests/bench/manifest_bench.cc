// What planning and describing a checkpoint of a large job takes: 10,000 tensors, 1,024 writers.
//
// usage: manifest_bench [TENSORS [TENSOR_RANKS [DATA_RANKS [REPEAT]]]]
//
// Each tensor is cut in rows over the tensor ranks; what one tensor rank has of all tensors is cut
// into one run of rows per data rank (ZeRO), for the parameters and both moments.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "checkpoint/digest.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard.h"
#include "common/check.h"

namespace {

using muster::checkpoint::Box;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Print(const char* what, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  std::printf("  %-44s %9.1f ms median, %.1f to %.1f (%zu runs)\n", what,
              seconds[seconds.size() / 2] * 1e3, seconds.front() * 1e3, seconds.back() * 1e3,
              seconds.size());
}

constexpr uint64_t kRows = 1024, kColumns = 4096;

std::vector<Box> BoxesOf(uint64_t tensors, uint64_t tensor, uint64_t tensor_ranks, uint64_t data,
                         uint64_t data_ranks) {
  std::vector<Box> boxes;
  const uint64_t rows = kRows / tensor_ranks;  // of each tensor
  const uint64_t all = tensors * rows;
  const uint64_t begin = all * data / data_ranks, end = all * (data + 1) / data_ranks;
  for (uint64_t at = begin; at < end;) {
    const uint64_t index = at / rows, from = at % rows;
    const uint64_t count = std::min(rows - from, end - at);
    for (const char* kind : {"", "adamw.exp_avg.", "adamw.exp_avg_sq."}) {
      Box box =
          muster::checkpoint::WholeTensor(kind + ("layers." + std::to_string(index) + ".weight"),
                                          muster::checkpoint::DType::kF32, {kRows, kColumns});
      box.offset[0] = tensor * rows + from;
      box.extent[0] = count;
      boxes.push_back(std::move(box));
    }
    at += count;
  }
  return boxes;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, uint64_t none) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : none;
  };
  const uint64_t tensors = argument(1, 10'000), tensor_ranks = argument(2, 8);
  const uint64_t data_ranks = argument(3, 128), repeat = argument(4, 3);
  const uint64_t writers = tensor_ranks * data_ranks;
  std::vector<double> plan, digest_text, digest_parse, build, text, parse;
  size_t pieces = 0, bytes = 0, digest_bytes = 0;
  for (uint64_t run = 0; run < repeat; ++run) {
    std::vector<muster::checkpoint::ShardDigest> digests;
    double planned = 0, told = 0, heard = 0;
    pieces = digest_bytes = 0;
    for (uint64_t writer = 0; writer < writers; ++writer) {
      double begin = Seconds();
      const std::vector<Box> boxes =
          BoxesOf(tensors, writer % tensor_ranks, tensor_ranks, writer / tensor_ranks, data_ranks);
      const auto layout =
          muster::checkpoint::LayOutShard(muster::checkpoint::WriterName(writer), boxes);
      planned += Seconds() - begin;
      CHECK(layout.ok(), "{}", std::string(layout.status().message()));
      pieces += layout->pieces.size();
      muster::checkpoint::ShardDigest digest{{layout->name, layout->bytes, {}}, layout->pieces};
      const uint64_t chunks =
          (layout->bytes + muster::checkpoint::kChunkBytes - 1) / muster::checkpoint::kChunkBytes;
      for (uint64_t i = 0; i < chunks; ++i) {
        digest.file.chunk_crc32c.push_back(static_cast<uint32_t>(writer * 2'654'435'761u + i));
      }
      begin = Seconds();
      const std::string sent = muster::checkpoint::SerializeDigest(digest);
      told += Seconds() - begin;
      digest_bytes += sent.size();
      begin = Seconds();
      auto received = muster::checkpoint::ParseDigest(sent);
      heard += Seconds() - begin;
      CHECK(received.ok(), "{}", std::string(received.status().message()));
      digests.push_back(*std::move(received));
    }
    plan.push_back(planned / static_cast<double>(digests.size()));
    digest_text.push_back(told / static_cast<double>(digests.size()));
    digest_parse.push_back(heard);
    double begin = Seconds();
    const auto manifest = muster::checkpoint::BuildManifest(1, 1, "bench", {}, digests);
    build.push_back(Seconds() - begin);
    CHECK(manifest.ok(), "{}", std::string(manifest.status().message()));
    begin = Seconds();
    const std::string written = muster::checkpoint::ManifestText(*manifest);
    text.push_back(Seconds() - begin);
    bytes = written.size();
    begin = Seconds();
    const auto read = muster::checkpoint::ParseManifest(written);
    parse.push_back(Seconds() - begin);
    CHECK(read.ok() && *read == *manifest, "the manifest is not what it was");
  }
  std::printf(
      "%llu tensors and their moments, %llu writers: %zu pieces, manifest %.1f MB, digests %.1f "
      "MB\n",
      static_cast<unsigned long long>(tensors), static_cast<unsigned long long>(writers), pieces,
      static_cast<double>(bytes) / 1e6, static_cast<double>(digest_bytes) / 1e6);
  Print("each writer: its boxes and its shard's layout", plan);
  Print("each writer: its digest as text", digest_text);
  Print("rank 0: reads all digests", digest_parse);
  Print("rank 0: manifest, proven to tile, with SHA-256", build);
  Print("rank 0: its text", text);
  Print("each reader: parse, check, prove to tile", parse);
  return 0;
}
