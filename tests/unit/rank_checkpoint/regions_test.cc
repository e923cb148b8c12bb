#include "rank/checkpoint/regions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <random>

#include "rank/checkpoint/given_group.h"
#include "tests/unit/rank_checkpoint/thread_group.h"

namespace muster::rank {
namespace {

using checkpoint::Box;
using checkpoint::DType;
using testing::HasSubstr;

Region RegionOf(Box box, Writer writer = Writer::kAny) {
  return {.section = {.box = std::move(box), .bytes = {}}, .writer = writer};
}

Box Rows(const std::string& name, uint64_t rows, uint64_t first, uint64_t count) {
  return {name, DType::kF32, {rows, 4}, {first, 0}, {count, 4}};
}

struct Chosen {
  std::vector<absl::Status> status;
  std::vector<std::vector<Section>> owned;  // by rank
};

Chosen Choose(int ranks, const std::function<std::vector<Region>(int rank)>& regions) {
  Chosen chosen;
  chosen.status.resize(static_cast<size_t>(ranks));
  chosen.owned.resize(static_cast<size_t>(ranks));
  OnThreads(ranks, [&](ThreadGroup& end) {
    GivenGroup group(end.Given());
    const auto rank = static_cast<size_t>(group.rank());
    auto owned = ChooseWriters(regions(group.rank()), group);
    chosen.status[rank] = owned.status();
    if (owned.ok()) chosen.owned[rank] = *std::move(owned);
  });
  return chosen;
}

// Whoever has what: every part is written once, by one that has it, and nobody writes much more
// than the others where it can be helped.
TEST(ChooseWriters, WritesEveryPartOnceAndBalanced) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const int ranks = static_cast<int>(1 + random() % 6);
    std::vector<std::vector<Region>> regions(static_cast<size_t>(ranks));
    uint64_t all_bytes = 0;
    uint64_t largest = 0;
    for (int part = 0; part < 40; ++part) {
      const Box box =
          checkpoint::WholeTensor("t" + std::to_string(part), DType::kF32, {random() % 1000 + 1});
      all_bytes += checkpoint::ByteCount(box);
      largest = std::max(largest, checkpoint::ByteCount(box));
      for (auto& of_rank : regions) of_rank.push_back(RegionOf(box));
    }
    const Chosen chosen =
        Choose(ranks, [&](int rank) { return regions[static_cast<size_t>(rank)]; });
    std::map<std::string, int> written;
    for (size_t r = 0; r < chosen.owned.size(); ++r) {
      ASSERT_TRUE(chosen.status[r].ok()) << "seed " << seed << ": " << chosen.status[r];
      uint64_t bytes = 0;
      for (const Section& section : chosen.owned[r]) {
        ++written[section.box.tensor];
        bytes += checkpoint::ByteCount(section.box);
      }
      EXPECT_LE(bytes, all_bytes / chosen.owned.size() + largest)
          << "seed " << seed << " rank " << r;
    }
    EXPECT_EQ(written.size(), 40u) << "seed " << seed;
    for (const auto& [name, times] : written) EXPECT_EQ(times, 1) << "seed " << seed << " " << name;
  }
}

TEST(ChooseWriters, DoesAsItIsTold) {
  const Chosen chosen = Choose(3, [](int rank) {
    const Writer writer = rank == 2 ? Writer::kThis : rank == 1 ? Writer::kOther : Writer::kAny;
    return std::vector<Region>{
        RegionOf(Rows("a", 6, 0, 6), writer),
        RegionOf(Rows("b", 6, 2 * static_cast<uint64_t>(rank), 2)),
        RegionOf(Rows("b", 6, 0, 6), Writer::kOther)};  // all of it, when loading
  });
  for (size_t r = 0; r < 3; ++r) {
    ASSERT_TRUE(chosen.status[r].ok()) << chosen.status[r];
    EXPECT_EQ(chosen.owned[r].size(), r == 2 ? 2u : 1u) << r;
  }
}

TEST(ChooseWriters, RefusesWhatWouldNotBeTheWholeState) {
  const struct {
    const char* name;
    std::function<std::vector<Region>(int)> regions;
    const char* words;
  } cases[] = {
      {"a gap", [](int rank) { return std::vector{RegionOf(Rows("w", 6, rank == 0 ? 0 : 3, 2))}; },
       "w"},
      {"an overlap",
       [](int rank) {
         return std::vector{RegionOf(Rows("w", 6, rank == 0 ? 0 : 2, rank == 0 ? 3 : 4))};
       },
       "w[0:3,0:4] of [6,4] F32"},
      {"two say it is theirs",
       [](int) { return std::vector{RegionOf(Rows("w", 6, 0, 6), Writer::kThis)}; },
       "ranks 0 and 1 both say that they write it"},
      {"nobody writes it",
       [](int) { return std::vector{RegionOf(Rows("w", 6, 0, 6), Writer::kOther)}; },
       "region \"w\": no rank writes any of it"},
      {"unlike shapes",
       [](int rank) {
         return std::vector{RegionOf(Rows("w", rank == 0 ? 6 : 7, 0, 6),
                                     rank == 0 ? Writer::kAny : Writer::kOther)};
       },
       "are not of one array"},
  };
  for (const auto& c : cases) {
    const Chosen chosen = Choose(2, c.regions);
    for (const absl::Status& status : chosen.status) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.name;
      EXPECT_THAT(std::string(status.message()), HasSubstr(c.words)) << c.name;
    }
  }
}

}  // namespace
}  // namespace muster::rank
