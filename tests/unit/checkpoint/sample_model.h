// A small model's tensors, cut over writers in random ways, and written as a checkpoint.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "common/status.h"

namespace muster::checkpoint {

using Bytes = std::vector<std::byte>;

struct Model {
  std::vector<Box> tensors;            // whole
  std::map<std::string, Bytes> bytes;  // by name
};

inline Model RandomModel(std::mt19937_64& random, uint64_t scale) {
  Model model;
  auto add = [&](const std::string& name, DType dtype, std::vector<uint64_t> shape) {
    const Box box = WholeTensor(name, dtype, std::move(shape));
    Bytes bytes(ByteCount(box));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    model.tensors.push_back(box);
    model.bytes[name] = std::move(bytes);
  };
  auto side = [&] { return 1 + random() % scale; };
  add("tok.weight", DType::kF32, {side() * 3 + 1, side()});
  add("blocks.0.wq", DType::kBF16, {side(), side()});
  add("blocks.0.norm", DType::kF32, {side()});
  add("cube", DType::kI32, {side() % 7 + 1, side() % 5 + 1, side()});
  add("step", DType::kI64, {});
  add("none", DType::kF32, {0, side()});
  add("odd", DType::kU8, {side() * 2 + 1});
  return model;
}

// Cuts a box into parts that tile it: along random axes, or by flat ranges.
inline std::vector<Box> RandomCuts(const Box& whole, std::mt19937_64& random, size_t parts) {
  if (IsEmpty(whole) || whole.shape.empty() || parts < 2) return {whole};
  std::vector<Box> out;
  if (random() % 2) {
    const uint64_t n = ElementCount(whole);
    uint64_t begin = 0;
    for (size_t p = 0; p < parts; ++p) {
      const uint64_t end = p + 1 == parts ? n : begin + random() % (n - begin + 1);
      for (Box& box : FlatRange(whole, begin, end)) out.push_back(std::move(box));
      begin = end;
    }
    return out;
  }
  out = {whole};
  for (size_t cut = 0; cut < parts; ++cut) {
    const size_t at = random() % out.size();
    const size_t axis = random() % whole.shape.size();
    if (out[at].extent[axis] < 2) continue;
    Box rest = out[at];
    const uint64_t first = 1 + random() % (out[at].extent[axis] - 1);
    out[at].extent[axis] = first;
    rest.offset[axis] += first;
    rest.extent[axis] -= first;
    out.push_back(rest);
  }
  return out;
}

inline Bytes CutOut(const Model& model, const Box& part) {
  Bytes bytes(ByteCount(part));
  for (const Box& whole : model.tensors) {
    if (whole.tensor == part.tensor) {
      CopyIntersection(whole, model.bytes.at(whole.tensor), part, bytes);
    }
  }
  return bytes;
}

// Writes, by several writers, and commits. Returns the folder.
inline absl::StatusOr<std::string> Save(const std::string& root, CheckpointId id,
                                        const Model& model, std::mt19937_64& random, size_t writers,
                                        FileSystem& files = PosixFiles(), RunState run = {}) {
  MUSTER_ASSIGN_OR_RETURN(const std::string folder, PrepareCheckpointFolder(root, id, files));
  std::vector<std::vector<Box>> boxes(writers);
  for (const Box& whole : model.tensors) {
    for (Box& part : RandomCuts(whole, random, 1 + random() % (writers + 1))) {
      boxes[random() % writers].push_back(std::move(part));
    }
  }
  std::vector<ShardDigest> digests;
  for (size_t w = 0; w < writers; ++w) {
    std::vector<Bytes> bytes;
    std::vector<Slice> slices;
    for (const Box& box : boxes[w]) bytes.push_back(CutOut(model, box));
    for (size_t i = 0; i < bytes.size(); ++i) slices.push_back({boxes[w][i], bytes[i]});
    MUSTER_ASSIGN_OR_RETURN(const ShardDigest digest,
                            WriteShard(folder, WriterName(w), slices, {{"writer", "t"}}, files));
    MUSTER_ASSIGN_OR_RETURN(const ShardDigest travelled, ParseDigest(SerializeDigest(digest)));
    EXPECT_EQ(travelled, digest);
    digests.push_back(travelled);
  }
  run.next_sample = id.step * 32;
  run.seed = 7;
  run.layout = "data=2,tensor=2";
  run.model_json = R"({"layers": 2, "d_model": 64})";
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest,
                          BuildManifest(id.step, id.attempt, "gpt-1-abc", run, digests));
  MUSTER_RETURN_IF_ERROR(WriteManifest(folder, manifest, files));
  MUSTER_RETURN_IF_ERROR(Commit(folder, {id.step, id.attempt, 1, manifest.sha256}, files));
  return folder;
}

// Loads the whole model in another random layout; true if every byte came back.
inline absl::StatusOr<bool> LoadsBack(const std::string& folder, const Model& model,
                                      std::mt19937_64& random, FileSystem& files = PosixFiles()) {
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(folder, files));
  std::vector<Box> boxes;
  for (const Box& whole : model.tensors) {
    for (Box& part : RandomCuts(whole, random, 1 + random() % 5)) boxes.push_back(std::move(part));
  }
  std::vector<Bytes> bytes;
  std::vector<Request> requests;
  for (const Box& box : boxes) bytes.emplace_back(ByteCount(box));
  for (size_t i = 0; i < boxes.size(); ++i) requests.push_back({boxes[i], bytes[i]});
  MUSTER_RETURN_IF_ERROR(Load(folder, manifest, requests, files).status());
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (bytes[i] != CutOut(model, boxes[i])) return false;
  }
  return true;
}

}  // namespace muster::checkpoint
