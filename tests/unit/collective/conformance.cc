#include "tests/unit/collective/conformance.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "trainer/collective/tree_sum.h"

namespace muster::trainer::collective {
namespace {

#define EXPECT_THAT_OK(expression)                                               \
  do {                                                                           \
    if (absl::Status s = (expression); !s.ok()) return std::string(s.message()); \
  } while (false)

// Values whose sum depends on the order of addition.
float Value(int rank, size_t i) {
  const double x = std::sin(0.37 * static_cast<double>(i) + 1.3 * rank);
  return static_cast<float>(
      x * std::pow(10.0, static_cast<double>((i + 3 * static_cast<size_t>(rank)) % 7)));
}

std::vector<float> Values(int rank, size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = Value(rank, i);
  return values;
}

// The contract's order, written out element by element.
float PairwiseSum(std::vector<float> parts) {
  while (parts.size() > 1) {
    std::vector<float> next;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) next.push_back(parts[i] + parts[i + 1]);
    if (parts.size() % 2 == 1) next.push_back(parts.back());
    parts = next;
  }
  return parts[0];
}

float ExpectedSum(int ranks, size_t i) {
  std::vector<float> parts;
  for (int r = 0; r < ranks; ++r) parts.push_back(Value(r, i));
  return PairwiseSum(parts);
}

std::string Differs(std::span<const float> got, const std::function<float(size_t)>& want) {
  for (size_t i = 0; i < got.size(); ++i) {
    const float expected = want(i);
    if (std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(expected)) {
      return fmt::format("element {} is {}, wanted {}", i, got[i], expected);
    }
  }
  return "";
}

std::string AllReduceAddsInTreeOrder(Collective& group) {
  for (size_t count : {size_t{0}, size_t{1}, size_t{5}, size_t{2048}, size_t{8192}, size_t{8193},
                       size_t{100003}}) {
    std::vector<float> data = Values(group.rank(), count);
    EXPECT_THAT_OK(group.AllReduce(data));
    const std::string wrong = Differs(data, [&](size_t i) { return ExpectedSum(group.size(), i); });
    if (!wrong.empty()) return fmt::format("{} floats: {}", count, wrong);
  }
  return "";
}

std::string AllReduceMaxTakesTheLargest(Collective& group) {
  std::vector<float> data = Values(group.rank(), 1000);
  EXPECT_THAT_OK(group.AllReduceMax(data));
  return Differs(data, [&](size_t i) {
    float largest = Value(0, i);
    for (int r = 1; r < group.size(); ++r) largest = std::max(largest, Value(r, i));
    return largest;
  });
}

// Rank r gets 1000 * r + 7 floats, so rank 0's share is small and all differ; rank 1's is empty.
std::vector<size_t> UnevenCounts(int size) {
  std::vector<size_t> counts;
  for (size_t r = 0; r < static_cast<size_t>(size); ++r) {
    counts.push_back(r == 1 ? 0 : 1000 * r + 7);
  }
  return counts;
}

size_t OffsetOf(std::span<const size_t> counts, int rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, size_t{0});
}

std::string ReduceScatterGivesEachItsSlice(Collective& group) {
  const std::vector<size_t> counts = UnevenCounts(group.size());
  const std::vector<float> in = Values(group.rank(), OffsetOf(counts, group.size()));
  std::vector<float> out(counts[static_cast<size_t>(group.rank())]);
  EXPECT_THAT_OK(group.ReduceScatter(in, out, counts));
  const size_t offset = OffsetOf(counts, group.rank());
  return Differs(out, [&](size_t i) { return ExpectedSum(group.size(), offset + i); });
}

std::string AllGatherPutsPartsInRankOrder(Collective& group) {
  const std::vector<size_t> counts = UnevenCounts(group.size());
  const std::vector<float> in = Values(group.rank(), counts[static_cast<size_t>(group.rank())]);
  std::vector<float> out(OffsetOf(counts, group.size()), -1.0F);
  EXPECT_THAT_OK(group.AllGather(in, out, counts));
  auto want = [&](size_t i) {
    int r = 0;
    while (i >= OffsetOf(counts, r + 1)) ++r;
    return Value(r, i - OffsetOf(counts, r));
  };
  std::string wrong = Differs(out, want);
  if (!wrong.empty()) return wrong;
  std::vector<float> in_place(out.size(), -1.0F);
  const size_t offset = OffsetOf(counts, group.rank());
  std::copy(in.begin(), in.end(), in_place.begin() + static_cast<std::ptrdiff_t>(offset));
  EXPECT_THAT_OK(group.AllGather(std::span(in_place).subspan(offset, in.size()), in_place, counts));
  wrong = Differs(in_place, want);
  return wrong.empty() ? "" : "in place: " + wrong;
}

std::string ManyStartedOperationsWaitInAnyOrder(Collective& group) {
  constexpr size_t kOps = 6;
  constexpr size_t kShare = 20011;
  const std::vector<size_t> counts(static_cast<size_t>(group.size()), kShare);
  const size_t whole = kShare * counts.size();
  std::vector<std::vector<float>> in(kOps);
  std::vector<std::vector<float>> out(kOps);
  std::vector<std::unique_ptr<Pending>> pending;
  for (size_t op = 0; op < kOps; ++op) {
    in[op] = Values(group.rank() + static_cast<int>(op) * 10, op % 2 == 0 ? whole : kShare);
    out[op].resize(op % 2 == 0 ? kShare : whole);
    auto started = op % 2 == 0 ? group.StartReduceScatter(in[op], out[op], counts)
                               : group.StartAllGather(in[op], out[op], counts);
    EXPECT_THAT_OK(started.status());
    pending.push_back(*std::move(started));
    EXPECT_THAT_OK(group.Progress());
  }
  // Even ranks wait forwards, odd ranks backwards.
  for (size_t k = 0; k < kOps; ++k) {
    EXPECT_THAT_OK(pending[group.rank() % 2 == 0 ? k : kOps - 1 - k]->Wait());
  }
  for (size_t op = 0; op < kOps; ++op) {
    const int shift = static_cast<int>(op) * 10;
    const std::string wrong = Differs(out[op], [&](size_t i) {
      if (op % 2 == 1) return Value(static_cast<int>(i / kShare) + shift, i % kShare);
      std::vector<float> parts;
      for (int r = 0; r < group.size(); ++r) {
        parts.push_back(Value(r + shift, i + kShare * static_cast<size_t>(group.rank())));
      }
      return PairwiseSum(parts);
    });
    if (!wrong.empty()) return fmt::format("operation {}: {}", op, wrong);
  }
  return "";
}

std::string BroadcastCopiesFromAnyRoot(Collective& group) {
  for (int root = 0; root < group.size(); ++root) {
    std::vector<std::byte> data(100001, static_cast<std::byte>(group.rank()));
    EXPECT_THAT_OK(group.Broadcast(data, root));
    for (std::byte b : data) {
      if (b != static_cast<std::byte>(root)) return fmt::format("root {}: wrong byte", root);
    }
  }
  return "";
}

std::string AllGatherBytesKeepsLengths(Collective& group) {
  const std::vector<std::byte> mine(static_cast<size_t>(group.rank()) * 3,
                                    static_cast<std::byte>(group.rank()));
  auto blobs = group.AllGatherBytes(mine);
  EXPECT_THAT_OK(blobs.status());
  if (blobs->size() != static_cast<size_t>(group.size())) return "wrong number of blobs";
  for (size_t r = 0; r < blobs->size(); ++r) {
    if ((*blobs)[r] != std::vector<std::byte>(r * 3, static_cast<std::byte>(r))) {
      return fmt::format("blob {} differs", r);
    }
  }
  return "";
}

// What rank `from` sends rank `to` in a round: often nothing, sometimes much.
std::vector<std::byte> Parcel(uint64_t seed, int from, int to) {
  std::mt19937_64 random(seed * 1009 + static_cast<uint64_t>(from) * 31 +
                         static_cast<uint64_t>(to));
  const uint64_t largest = std::array<uint64_t, 4>{0, 1, 300, 200'000}[random() % 4];
  std::vector<std::byte> bytes(random() % (largest + 1));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::string AllToAllBytesGivesEachItsOwn(Collective& group) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::vector<std::vector<std::byte>> to;
    for (int r = 0; r < group.size(); ++r) to.push_back(Parcel(seed, group.rank(), r));
    const auto from = group.AllToAllBytes(to);
    EXPECT_THAT_OK(from.status());
    if (from->size() != to.size()) return fmt::format("seed {}: {} blobs", seed, from->size());
    for (int r = 0; r < group.size(); ++r) {
      if ((*from)[static_cast<size_t>(r)] != Parcel(seed, r, group.rank())) {
        return fmt::format("seed {}: what rank {} sent rank {} differs", seed, r, group.rank());
      }
    }
  }
  return "";
}

std::string SplitMakesGroupsByColor(Collective& group) {
  auto child = group.Split(group.rank() % 2);
  EXPECT_THAT_OK(child.status());
  const int expected_size = (group.size() + 1 - group.rank() % 2) / 2;
  if ((*child)->size() != expected_size) return "wrong size";
  if ((*child)->rank() != group.rank() / 2) return "wrong rank";
  std::vector<float> data = {static_cast<float>(group.rank())};
  EXPECT_THAT_OK((*child)->AllReduce(data));
  float expected = 0;
  for (int r = group.rank() % 2; r < group.size(); r += 2) expected += static_cast<float>(r);
  if (data[0] != expected) return fmt::format("sum {} wanted {}", data[0], expected);
  // The parent and the child do not mix.
  EXPECT_THAT_OK(group.Barrier());
  return AllReduceAddsInTreeOrder(**child);
}

// The sum over four ranks equals the sum of the sums over aligned halves: what makes data: 1, 2
// and 4 agree bit for bit.
std::string GroupsComposeByAlignedHalves(Collective& group) {
  if (group.size() != 4) return "";
  std::vector<float> whole = Values(group.rank(), 5000);
  std::vector<float> halves = whole;
  EXPECT_THAT_OK(group.AllReduce(whole));
  auto half = group.Split(group.rank() / 2);
  EXPECT_THAT_OK(half.status());
  EXPECT_THAT_OK((*half)->AllReduce(halves));
  auto across = group.Split(group.rank() % 2);
  EXPECT_THAT_OK(across.status());
  EXPECT_THAT_OK((*across)->AllReduce(halves));
  return Differs(halves, [&](size_t i) { return whole[i]; });
}

}  // namespace

const std::vector<Check>& ConformanceChecks() {
  static const auto* checks = new std::vector<Check>{
      {"AllReduceAddsInTreeOrder", AllReduceAddsInTreeOrder},
      {"AllReduceMaxTakesTheLargest", AllReduceMaxTakesTheLargest},
      {"ReduceScatterGivesEachItsSlice", ReduceScatterGivesEachItsSlice},
      {"AllGatherPutsPartsInRankOrder", AllGatherPutsPartsInRankOrder},
      {"ManyStartedOperationsWaitInAnyOrder", ManyStartedOperationsWaitInAnyOrder},
      {"BroadcastCopiesFromAnyRoot", BroadcastCopiesFromAnyRoot},
      {"AllGatherBytesKeepsLengths", AllGatherBytesKeepsLengths},
      {"AllToAllBytesGivesEachItsOwn", AllToAllBytesGivesEachItsOwn},
      {"SplitMakesGroupsByColor", SplitMakesGroupsByColor},
      {"GroupsComposeByAlignedHalves", GroupsComposeByAlignedHalves},
  };
  return *checks;
}

}  // namespace muster::trainer::collective
