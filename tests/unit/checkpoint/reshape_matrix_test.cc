// {data 1, 2, 3, 4, 8} × {tensor 1, 2, 4} × ZeRO on and off: saved in each, loaded in every other
// by the trainer's own layout code; fp32 parameters (they are the master weights) and both moments
// come back bit for bit, on every rank and gathered.
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/verify.h"
#include "common/check.h"
#include "tests/unit/checkpoint/disk_files.h"
#include "tests/unit/checkpoint/sample_model.h"
#include "trainer/collective/in_process/in_process.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/parallel/mesh.h"

namespace muster::checkpoint {
namespace {

using rank::Section;
using trainer::optim::Optimizer;
using trainer::optim::ShardPlan;
using trainer::parallel::Interval;
using trainer::parallel::kBlock;
using trainer::parallel::kParameterAlignment;
using trainer::parallel::Parameter;
using trainer::parallel::ParameterTable;

struct Layout {
  int data, tensor;
  bool zero;
  std::string Text() const { return fmt::format("data {} tensor {} zero {}", data, tensor, zero); }
};

std::vector<Layout> AllLayouts() {
  std::vector<Layout> all;
  for (int data : {1, 2, 3, 4, 8}) {
    for (int tensor : {1, 2, 4}) {
      for (bool zero : {true, false}) all.push_back({data, tensor, zero});
    }
  }
  return all;
}

using MakeTable = ParameterTable (*)(int tensor_rank, int tensor_size);

// What the trainer makes for a model.
ParameterTable TrainersTable(int tensor_rank, int tensor_size) {
  const trainer::parallel::ModelConfig config{
      .layers = 2, .d_model = 32, .heads = 4, .kv_heads = 4, .ffn = 48, .context = 8, .vocab = 70};
  auto table = trainer::parallel::MakeParameterTable(config, tensor_rank, tensor_size);
  CHECK(table.ok(), "{}", std::string(table.status().message()));
  return *std::move(table);
}

// What no model of ours has yet: odd sizes shared out unevenly, sides smaller than the ranks,
// single numbers, one embedding at both ends.
ParameterTable OddTable(int tensor_rank, int tensor_size) {
  struct Row {
    const char* name;
    std::vector<int64_t> shape;
    int split_dim;
    bool ends_bucket;
  };
  const Row rows[] = {{"embed.tied", {67, 13}, 0, true},
                      {"one", {1}, -1, false},
                      {"norm", {13}, -1, false},
                      {"wq", {26, 13}, 0, false},
                      {"wo", {13, 26}, 1, true},
                      {"three_rows", {3, 5}, 0, false},
                      {"three_columns", {5, 3}, 1, false},
                      {"bias", {7}, 0, true},
                      {"two", {2}, 0, true},
                      {"tall", {1031, 3}, 0, false},
                      {"wide", {3, 1031}, 1, false},
                      {"last", {1, 1}, -1, true}};
  ParameterTable table;
  table.tensor_rank = tensor_rank;
  table.tensor_size = tensor_size;
  size_t bucket_begin = 0;
  for (const Row& row : rows) {
    Parameter parameter;
    parameter.name = row.name;
    parameter.global_shape = parameter.local_shape = row.shape;
    parameter.split_dim = row.split_dim;
    if (row.split_dim >= 0) {
      const auto axis = static_cast<size_t>(row.split_dim);
      const int64_t side = row.shape[axis];
      parameter.split_offset = side * tensor_rank / tensor_size;
      parameter.local_shape[axis] = side * (tensor_rank + 1) / tensor_size - parameter.split_offset;
    }
    parameter.count = 1;
    for (const int64_t side : parameter.local_shape) parameter.count *= static_cast<size_t>(side);
    parameter.begin =
        (table.size + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment;
    parameter.bucket = static_cast<int>(table.buckets.size());
    table.size = parameter.begin + parameter.count;
    table.parameters.push_back(std::move(parameter));
    if (!row.ends_bucket) continue;
    table.size = (table.size + kBlock - 1) / kBlock * kBlock;
    table.buckets.push_back({bucket_begin, table.size});
    bucket_begin = table.size;
  }
  return table;
}

// The run's state as one rank would hold all of it: of each parameter, by its place in the table,
// the bits, row-major.
using Tensors = std::vector<std::vector<uint32_t>>;
struct World {
  Tensors parameters, exp_avg, exp_avg_sq;
};

World RandomWorld(MakeTable make, uint64_t seed) {
  std::mt19937_64 random(seed);
  World world;
  for (const Parameter& parameter : make(0, 1).parameters) {
    for (auto* tensors : {&world.parameters, &world.exp_avg, &world.exp_avg_sq}) {
      std::vector<uint32_t>& bits = tensors->emplace_back(parameter.count);
      for (uint32_t& word : bits) word = static_cast<uint32_t>(random());  // NaNs too
    }
  }
  return world;
}

// Where element `local` of this rank's part stands in the whole tensor; counted out plainly.
size_t GlobalIndex(const Parameter& parameter, size_t local) {
  if (parameter.global_shape.size() == 1) {
    return local + static_cast<size_t>(parameter.split_dim == 0 ? parameter.split_offset : 0);
  }
  const auto columns = static_cast<size_t>(parameter.local_shape[1]);
  size_t row = local / columns, column = local % columns;
  if (parameter.split_dim == 0) row += static_cast<size_t>(parameter.split_offset);
  if (parameter.split_dim == 1) column += static_cast<size_t>(parameter.split_offset);
  return row * static_cast<size_t>(parameter.global_shape[1]) + column;
}

uint32_t Bits(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// One rank of a layout: its table, its shares, its memory.
class RankState {
 public:
  RankState(MakeTable make, const Layout& layout, const trainer::parallel::Mesh& mesh, int rank,
            trainer::collective::Collective& data)
      : table_(make(mesh.Coordinate(rank, "tensor"), layout.tensor)),
        plan_(trainer::optim::PlanShards(table_, mesh.Coordinate(rank, "data"), layout.data)),
        optimizer_({}, table_, plan_, data, layout.zero),
        params_(table_.size) {}

  void Fill(const World& world) {
    auto set = [this](const Tensors& tensors, const Parameter& p, size_t local, float& value) {
      std::memcpy(&value, &tensors[PlaceOf(p)][GlobalIndex(p, local)], sizeof(value));
    };
    ForEach({0, table_.size}, [&](const Parameter& p, size_t local, size_t flat) {
      set(world.parameters, p, local, params_[flat]);
    });
    ForEachMoment([&](const Parameter& p, size_t local, float& avg, float& avg_sq) {
      set(world.exp_avg, p, local, avg);
      set(world.exp_avg_sq, p, local, avg_sq);
    });
  }

  // The number of floats that are not as in `world`; copies what is there to `gathered`.
  size_t Differences(const World& world, World& gathered) {
    size_t different = 0;
    auto compare = [&](const Tensors& tensors, Tensors& all, const Parameter& parameter,
                       size_t local, float value) {
      const size_t index = GlobalIndex(parameter, local), p = PlaceOf(parameter);
      if (tensors[p][index] != Bits(value)) ++different;
      all[p][index] = Bits(value);
    };
    ForEach({0, table_.size}, [&](const Parameter& p, size_t local, size_t flat) {
      compare(world.parameters, gathered.parameters, p, local, params_[flat]);
    });
    ForEachMoment([&](const Parameter& p, size_t local, float& avg, float& avg_sq) {
      compare(world.exp_avg, gathered.exp_avg, p, local, avg);
      compare(world.exp_avg_sq, gathered.exp_avg_sq, p, local, avg_sq);
    });
    return different;
  }

  std::vector<Section> Owned() {
    return trainer::loop::OwnedSections(table_, plan_, params_, optimizer_);
  }
  std::vector<Section> Needed() {
    return trainer::loop::NeededSections(table_, params_, &optimizer_);
  }

 private:
  size_t PlaceOf(const Parameter& parameter) const {
    return static_cast<size_t>(&parameter - table_.parameters.data());
  }
  // Every float of a parameter in this part of the flat buffer.
  template <typename Look>
  void ForEach(Interval part, Look look) {
    for (const Parameter& parameter : table_.parameters) {
      const Interval hit = trainer::parallel::Intersect(parameter.interval(), part);
      for (size_t flat = hit.begin; flat < hit.end; ++flat) {
        look(parameter, flat - parameter.begin, flat);
      }
    }
  }
  // The moments this rank updates, packed interval after interval.
  template <typename Look>
  void ForEachMoment(Look look) {
    const trainer::optim::Packed& updated = optimizer_.updated();
    for (size_t n = 0; n < updated.intervals.size(); ++n) {
      const Interval& interval = updated.intervals[n];
      ForEach(interval, [&](const Parameter& parameter, size_t local, size_t flat) {
        const size_t at = updated.offsets[n] + flat - interval.begin;
        look(parameter, local, optimizer_.exp_avg()[at], optimizer_.exp_avg_sq()[at]);
      });
    }
  }

  const ParameterTable table_;
  const ShardPlan plan_;
  Optimizer optimizer_;
  std::vector<float> params_;
};

// All ranks of a layout.
class Ranks {
 public:
  Ranks(MakeTable make, const Layout& layout)
      : mesh_(*trainer::parallel::Mesh::Parse(
            fmt::format("data={},tensor={}", layout.data, layout.tensor))),
        data_(trainer::collective::MakeInProcessWorld(layout.data)) {
    for (int rank = 0; rank < mesh_.ranks(); ++rank) {
      auto& group = *data_[static_cast<size_t>(mesh_.Coordinate(rank, "data"))];
      ranks_.push_back(std::make_unique<RankState>(make, layout, mesh_, rank, group));
    }
  }

  absl::StatusOr<Manifest> Save(DiskFiles& files, const std::string& folder, const World& world) {
    std::vector<ShardDigest> digests;
    int64_t step = 77;
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      ranks_[rank]->Fill(world);
      std::vector<Slice> slices = rank::SlicesOf(ranks_[rank]->Owned());
      if (rank == 0) slices.push_back({Step(), std::as_bytes(std::span(&step, 1))});
      MUSTER_ASSIGN_OR_RETURN(ShardDigest digest,
                              WriteShard(folder, WriterName(rank), slices, {}, files));
      digests.push_back(std::move(digest));
    }
    MUSTER_ASSIGN_OR_RETURN(const Manifest manifest, BuildManifest(1, 1, "job", {}, digests));
    MUSTER_RETURN_IF_ERROR(WriteManifest(folder, manifest, files));
    MUSTER_RETURN_IF_ERROR(Commit(folder, {1, 1, 1, manifest.sha256}, files));
    return manifest;
  }

  // Empty: every rank has the bits of `world`, and together they have all of it.
  std::string Load(DiskFiles& files, const std::string& folder, const Manifest& manifest,
                   const World& world) {
    World gathered = world;
    for (Tensors* tensors : {&gathered.parameters, &gathered.exp_avg, &gathered.exp_avg_sq}) {
      for (std::vector<uint32_t>& bits : *tensors) {
        for (uint32_t& word : bits) word = ~word;
      }
    }
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      int64_t step = 0;
      std::vector<Request> requests = {{Step(), std::as_writable_bytes(std::span(&step, 1))}};
      for (const Section& section : ranks_[rank]->Needed()) {
        requests.push_back({section.box, section.bytes});
      }
      const absl::Status loaded = checkpoint::Load(folder, manifest, requests, files).status();
      if (!loaded.ok()) return fmt::format("rank {}: {}", rank, std::string(loaded.message()));
      if (step != 77) return fmt::format("rank {}: the scalar is {}", rank, step);
      if (const size_t different = ranks_[rank]->Differences(world, gathered); different > 0) {
        return fmt::format("rank {}: {} floats differ", rank, different);
      }
    }
    if (gathered.parameters != world.parameters) return "gathered parameters differ";
    if (gathered.exp_avg != world.exp_avg) return "gathered first moments differ";
    if (gathered.exp_avg_sq != world.exp_avg_sq) return "gathered second moments differ";
    return "";
  }

  // Nothing of the last load is left to be taken for the next one's.
  void Spoil(const World& rubbish) {
    for (const auto& rank : ranks_) rank->Fill(rubbish);
  }

 private:
  static Box Step() { return WholeTensor("step", DType::kI64, {}); }

  const trainer::parallel::Mesh mesh_;
  std::vector<std::unique_ptr<trainer::collective::Collective>> data_;
  std::vector<std::unique_ptr<RankState>> ranks_;
};

class ReshapeMatrix : public testing::TestWithParam<std::pair<const char*, MakeTable>> {};

TEST_P(ReshapeMatrix, EachLayoutLoadsWhatEachOtherSaved) {
  const MakeTable make = GetParam().second;
  const World saved = RandomWorld(make, 1), rubbish = RandomWorld(make, 2);
  DiskFiles files;
  const std::vector<Layout> layouts = AllLayouts();
  std::vector<std::unique_ptr<Ranks>> readers;
  for (const Layout& layout : layouts) readers.push_back(std::make_unique<Ranks>(make, layout));
  size_t pairs = 0, failed = 0;
  for (size_t from = 0; from < layouts.size(); ++from) {
    const std::string folder = fmt::format("/ck/{}", from);
    const absl::StatusOr<Manifest> manifest = Ranks(make, layouts[from]).Save(files, folder, saved);
    ASSERT_TRUE(manifest.ok()) << layouts[from].Text() << ": " << manifest.status();
    const VerifyReport report = Verify(folder, nullptr, VerifyDepth::kEverything, files);
    ASSERT_TRUE(report.ok()) << VerifyStatus(folder, report);
    for (size_t to = 0; to < layouts.size(); ++to, ++pairs) {
      const std::string fault = readers[to]->Load(files, folder, *manifest, saved);
      if (!fault.empty() && ++failed <= 5) {
        ADD_FAILURE() << layouts[from].Text() << " → " << layouts[to].Text() << ": " << fault;
      }
      readers[to]->Spoil(rubbish);
    }
  }
  EXPECT_EQ(pairs, 900u);
  std::printf("  %s: %zu pairs of layouts, %zu failed\n", GetParam().first, pairs, failed);
}

INSTANTIATE_TEST_SUITE_P(Tables, ReshapeMatrix,
                         testing::Values(std::pair<const char*, MakeTable>{"trainers_table",
                                                                           TrainersTable},
                                         std::pair<const char*, MakeTable>{"odd_table", OddTable}),
                         [](const auto& test) { return std::string(test.param.first); });

}  // namespace
}  // namespace muster::checkpoint
