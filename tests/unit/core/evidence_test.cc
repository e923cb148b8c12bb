// What broke first, against tables and against cascades drawn at random.
#include "coordinator/core/evidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace muster::coordinator::core {
namespace {

constexpr int64_t kNowMs = 1'700'000'000'000;

v1::Evidence Exit(const std::string& node, uint32_t rank, int code, int64_t at_ms, int64_t seen_ms,
                  const std::string& line = "") {
  v1::Evidence one;
  one.set_kind(v1::EVIDENCE_KIND_RANK_EXIT);
  one.set_node(node);
  one.set_has_rank(true);
  one.set_rank(rank);
  one.set_exit_code(code);
  one.set_time_unix_us((kNowMs + at_ms) * 1000);
  one.set_seen_unix_ms(kNowMs + seen_ms);
  if (!line.empty()) one.add_last_lines(line);
  return one;
}

v1::Evidence Signal(const std::string& node, uint32_t rank, int number, int64_t at_ms,
                    int64_t seen_ms, const std::string& line = "") {
  v1::Evidence one = Exit(node, rank, 0, at_ms, seen_ms, line);
  one.set_kind(v1::EVIDENCE_KIND_RANK_SIGNAL);
  one.set_signal(number);
  return one;
}

v1::Evidence Lost(const std::string& node, int64_t heard_ms, int64_t seen_ms,
                  v1::EvidenceKind kind = v1::EVIDENCE_KIND_NODE_SILENT) {
  v1::Evidence one;
  one.set_kind(kind);
  one.set_node(node);
  one.set_time_unix_us((kNowMs + heard_ms) * 1000);
  one.set_seen_unix_ms(kNowMs + seen_ms);
  return one;
}

v1::Evidence TornDown(v1::Evidence one) {
  one.set_role(v1::EVIDENCE_ROLE_TEARDOWN);
  return one;
}

v1::Evidence Still(const std::string& node, uint32_t rank, v1::EvidenceRole role) {
  v1::Evidence one = Exit(node, rank, 0, -60'000, 0);
  one.set_kind(v1::EVIDENCE_KIND_RANK_STILL);
  one.set_role(role);
  return one;
}

std::string Name(const v1::Evidence& one) {
  return one.has_rank() ? "rank " + std::to_string(one.rank()) : one.node();
}

TEST(Evidence, WeighsHowARankEnded) {
  const struct {
    const char* name;
    v1::Evidence evidence;
    RootWeight weight;
  } kRows[] = {
      {"a segfault", Signal("n", 0, 11, 0, 0), RootWeight::kOwn},
      {"a kill", Signal("n", 0, 9, 0, 0), RootWeight::kOwn},
      {"a bus error", Signal("n", 0, 7, 0, 0), RootWeight::kOwn},
      {"a kill told by a shell", Exit("n", 0, 137, 0, 0), RootWeight::kOwn},
      {"a segfault told by a shell", Exit("n", 0, 139, 0, 0), RootWeight::kOwn},
      {"a broken pipe", Signal("n", 0, 13, 0, 0), RootWeight::kEcho},
      {"asked to end", Signal("n", 0, 15, 0, 0), RootWeight::kUnclear},
      {"an abort without a word", Signal("n", 0, 6, 0, 0), RootWeight::kUnclear},
      {"an abort by a check", Signal("n", 0, 6, 0, 0, "loss.cc:12: Assertion `x > 0' failed."),
       RootWeight::kOwn},
      {"an abort by a watchdog",
       Signal("n", 0, 6, 0, 0, "Watchdog caught collective operation timeout: WorkNCCL"),
       RootWeight::kEcho},
      {"an exit without a word", Exit("n", 0, 1, 0, 0), RootWeight::kUnclear},
      {"a Python error", Exit("n", 0, 1, 0, 0, "ValueError: no such corpus"), RootWeight::kOwn},
      {"a Python error of a connection",
       Exit("n", 0, 1, 0, 0, "ConnectionResetError: [Errno 104] Connection reset by peer"),
       RootWeight::kEcho},
      {"an MPI error", Exit("n", 0, 1, 0, 0, "MPI_Allgather(...): MPI_ERR_OTHER: known error"),
       RootWeight::kEcho},
      {"an NCCL error",
       Exit("n", 0, 1, 0, 0, "ncclRemoteError: A call failed possibly due to a network error"),
       RootWeight::kEcho},
      {"memory ran out", Exit("n", 0, 1, 0, 0, "torch.cuda.OutOfMemoryError: CUDA out of memory"),
       RootWeight::kOwn},
      {"a silent node", Lost("n", 0, 0), RootWeight::kLost},
      {"a lost shim", Lost("n", 0, 0, v1::EVIDENCE_KIND_SHIM_DIED), RootWeight::kLost},
  };
  for (const auto& row : kRows) EXPECT_EQ(WeightOf(row.evidence), row.weight) << row.name;
}

TEST(Evidence, NamesTheRoot) {
  const char* reset = "Connection reset by peer";
  const struct {
    const char* name;
    std::vector<v1::Evidence> evidence;
    const char* root;
  } kRows[] = {
      {"one alone", {Exit("a", 3, 1, 0, 5)}, "rank 3"},
      {"same node: its clock, however it ended",
       {Signal("a", 0, 11, 20, 30), Exit("a", 1, 1, 10, 30)},
       "rank 1"},
      {"same node: its clock, though it was reported later",
       {Signal("a", 0, 9, 20, 30), Signal("a", 1, 9, 10, 60)},
       "rank 1"},
      {"other nodes: how it ended before when",
       {Exit("a", 0, 1, 0, 5, reset), Signal("b", 1, 11, 40, 45)},
       "rank 1"},
      {"other nodes: a clock an hour behind changes nothing",
       {Exit("a", 0, 1, -3'600'000, 5, reset), Signal("b", 1, 9, 10, 15)},
       "rank 1"},
      {"other nodes: a clock an hour ahead changes nothing",
       {Exit("a", 0, 1, 0, 5, reset), Signal("b", 1, 9, 3'600'000, 15)},
       "rank 1"},
      {"both crashed: the earlier one by good clocks, though seen later",
       {Signal("a", 0, 11, 20, 25), Signal("b", 1, 11, 10, 90)},
       "rank 1"},
      {"both crashed: one clock is ahead of ours, so ours counts",
       {Signal("a", 0, 11, 20, 25), Signal("b", 1, 11, 9'000, 90)},
       "rank 0"},
      {"a lost node explains errors seen before it was given up",
       {Exit("a", 0, 1, 100, 110, reset), Lost("b", 50, 5'050)},
       "b"},
      {"a lost node explains unclear ends though it spoke a moment longer",
       {Exit("a", 0, 1, 100, 110), Lost("b", 600, 5'600)},
       "b"},
      {"a node that spoke long after did not cause it",
       {Exit("a", 0, 1, 100, 110), Lost("b", 9'000, 14'000)},
       "rank 0"},
      {"a crash known while the node still spoke",
       {Signal("a", 0, 11, 100, 110), Lost("b", 600, 5'600)},
       "rank 0"},
      {"what a node told before it was lost is first",
       {Signal("b", 1, 9, 100, 110), Lost("b", 110, 5'110)},
       "rank 1"},
      {"of lost nodes the one that fell silent first",
       {Lost("a", 900, 5'900), Lost("b", 100, 5'950)},
       "b"},
      {"a shim that died explains the others' errors",
       {Exit("a", 0, 1, 100, 110, reset), Lost("b", 0, 300, v1::EVIDENCE_KIND_SHIM_DIED)},
       "b"},
      {"what we ended ourselves is never the root",
       {TornDown(Signal("a", 0, 9, 0, 5)), Exit("a", 1, 1, 90, 95)},
       "rank 1"},
      {"of those that stood still the one the others wait for",
       {Still("a", 0, v1::EVIDENCE_ROLE_CASCADE), Still("b", 1, v1::EVIDENCE_ROLE_ROOT)},
       "rank 1"},
  };
  for (const auto& row : kRows) {
    std::vector<v1::Evidence> evidence = row.evidence;
    std::sort(evidence.begin(), evidence.end(),
              [](const auto& left, const auto& right) { return Name(left) < Name(right); });
    // The order in which they came in changes nothing.
    do {
      std::vector<v1::Evidence> judged = evidence;
      SetRoles(&judged);
      EXPECT_EQ(Name(judged.front()), row.root) << row.name;
      EXPECT_EQ(judged.front().role(), v1::EVIDENCE_ROLE_ROOT) << row.name;
      EXPECT_EQ(judged.size(), row.evidence.size()) << row.name;
    } while (std::next_permutation(
        evidence.begin(), evidence.end(),
        [](const auto& left, const auto& right) { return Name(left) < Name(right); }));
  }
}

TEST(Evidence, NodesLostTogetherAreAllRoots) {
  std::vector<v1::Evidence> evidence = {Lost("a", 100, 5'100), Lost("b", 900, 5'900),
                                        Lost("c", 60'000, 65'000)};
  SetRoles(&evidence);
  EXPECT_EQ(evidence[0].role(), v1::EVIDENCE_ROLE_ROOT);
  EXPECT_EQ(evidence[1].role(), v1::EVIDENCE_ROLE_ROOT);
  EXPECT_EQ(evidence[2].role(), v1::EVIDENCE_ROLE_CASCADE);
}

TEST(Evidence, OnlyTeardownHasNoRoot) {
  std::vector<v1::Evidence> evidence = {TornDown(Signal("a", 0, 9, 0, 5))};
  SetRoles(&evidence);
  EXPECT_EQ(evidence[0].role(), v1::EVIDENCE_ROLE_TEARDOWN);
}

// A gang over some nodes whose clocks are off by up to a minute. One rank or node breaks; the
// others notice after 1 to 400 ms and end as ranks do whose peer is gone, some without a word.
TEST(Evidence, FindsTheFirstOfRandomCascades) {
  int right = 0, all = 0;
  std::string wrong;
  for (uint32_t seed = 1; seed <= 2'000; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&](int from, int to) {
      return std::uniform_int_distribution<int>(from, to)(random);
    };
    const int nodes = draw(2, 6);
    const int ranks_per_node = draw(1, 4);
    std::vector<int> skew_ms;
    for (int n = 0; n < nodes; ++n) {
      skew_ms.push_back(draw(0, 2) == 0 ? draw(-60'000, 60'000) : draw(-2, 2));
    }
    const auto name = [](int node) { return "n" + std::to_string(node); };
    const int guilty = draw(0, nodes - 1);
    const uint32_t first =
        static_cast<uint32_t>(guilty * ranks_per_node + draw(0, ranks_per_node - 1));
    const bool node_lost = draw(0, 3) == 0;
    std::vector<v1::Evidence> evidence;
    std::string truth;
    if (node_lost) {
      truth = name(guilty);
      evidence.push_back(Lost(truth, -draw(0, 500), 5'000));
    } else {
      truth = "rank " + std::to_string(first);
      const int how = draw(0, 4);
      const int skew = skew_ms[static_cast<size_t>(guilty)];
      const int seen = draw(1, 30);
      evidence.push_back(how == 0
                             ? Exit(name(guilty), first, 1, skew, seen, "RuntimeError: planted")
                         : how == 1 ? Exit(name(guilty), first, 137, skew, seen)
                         : how == 2 ? Signal(name(guilty), first, 11, skew, seen)
                         : how == 3 ? Signal(name(guilty), first, 7, skew, seen)
                                    : Signal(name(guilty), first, 9, skew, seen));
    }
    for (int node = 0; node < nodes; ++node) {
      if (node == guilty && node_lost) continue;
      for (int i = 0; i < ranks_per_node; ++i) {
        const auto rank = static_cast<uint32_t>(node * ranks_per_node + i);
        if (!node_lost && rank == first) continue;
        if (draw(0, 2) == 0) continue;  // torn down before it noticed
        const int after = draw(1, 400);
        const int at = after + skew_ms[static_cast<size_t>(node)];
        const int seen = after + draw(1, 30);
        const int how = draw(0, 4);
        evidence.push_back(
            how == 0   ? Exit(name(node), rank, 1, at, seen)
            : how == 1 ? Signal(name(node), rank, 6, at, seen)
            : how == 2 ? Signal(name(node), rank, 13, at, seen)
            : how == 3 ? Exit(name(node), rank, 1, at, seen, "MPI_ERR_OTHER: known error")
                       : Exit(name(node), rank, 1, at, seen, "OSError: [Errno 32] Broken pipe"));
      }
    }
    std::shuffle(evidence.begin(), evidence.end(), random);
    SetRoles(&evidence);
    ++all;
    if (Name(evidence.front()) == truth) {
      ++right;
    } else {
      wrong += " " + std::to_string(seed);
    }
  }
  RecordProperty("right", right);
  EXPECT_GE(right * 100, all * 95) << "wrong for seeds" << wrong;
}

v1::FailureCause Before(const std::string& node, uint32_t rank, uint64_t step, int code,
                        int signal) {
  v1::FailureCause cause;
  cause.set_has_rank(true);
  cause.set_node(node);
  cause.set_rank(rank);
  cause.set_step(step);
  cause.set_exit_code(code);
  cause.set_signal(signal);
  return cause;
}

v1::Evidence InStep(v1::Evidence one, uint64_t step) {
  one.set_step(step);
  return one;
}

TEST(Evidence, BlamesProgramOrMachine) {
  const v1::Evidence segfault = InStep(Signal("b", 3, 11, 0, 5), 42);
  const v1::Evidence killed = InStep(Signal("b", 3, 9, 0, 5), 42);
  const struct {
    const char* name;
    v1::Evidence root;
    std::vector<v1::FailureCause> earlier;
    v1::Blame blame;
    double confidence;
  } kRows[] = {
      {"a silent node", Lost("b", 0, 5'000), {}, v1::BLAME_MACHINE, 0.85},
      {"a lost node", Lost("b", 0, 5'000, v1::EVIDENCE_KIND_NODE_GONE), {}, v1::BLAME_MACHINE, 0.9},
      {"killed from outside", killed, {}, v1::BLAME_MACHINE, 0.6},
      {"a segfault", segfault, {}, v1::BLAME_PROGRAM, 0.6},
      {"an error of its own", Exit("b", 3, 1, 0, 5, "ValueError: x"), {}, v1::BLAME_PROGRAM, 0.75},
      {"a device in the last lines",
       Exit("b", 3, 1, 0, 5, "CUDA error: uncorrectable ECC error"),
       {},
       v1::BLAME_MACHINE,
       0.7},
      {"weights that differ from the replicas'",
       Exit("b", 3, 1, 0, 5, "muster-train: step 8: silent data corruption: the weights of rank 3"),
       {},
       v1::BLAME_MACHINE,
       0.7},
      {"only an echo",
       Exit("b", 3, 1, 0, 5, "Connection reset by peer"),
       {},
       v1::BLAME_UNSPECIFIED,
       0.3},
      {"the same rank elsewhere", segfault, {Before("a", 3, 17, 0, 11)}, v1::BLAME_PROGRAM, 0.85},
      {"the same step elsewhere", segfault, {Before("a", 0, 42, 0, 11)}, v1::BLAME_PROGRAM, 0.85},
      {"twice elsewhere",
       killed,
       {Before("a", 3, 42, 0, 9), Before("c", 3, 42, 0, 9)},
       v1::BLAME_PROGRAM,
       0.95},
      {"elsewhere in another way, rank and step",
       segfault,
       {Before("a", 1, 3, 1, 0)},
       v1::BLAME_PROGRAM,
       0.6},
      {"here in another way", segfault, {Before("b", 2, 3, 0, 7)}, v1::BLAME_MACHINE, 0.7},
      {"here in two other ways",
       segfault,
       {Before("b", 2, 3, 0, 7), Before("b", 1, 9, 1, 0)},
       v1::BLAME_MACHINE,
       0.85},
      {"here the same way, a crash", segfault, {Before("b", 3, 42, 0, 11)}, v1::BLAME_PROGRAM, 0.8},
      {"here the same way, a kill", killed, {Before("b", 3, 42, 0, 9)}, v1::BLAME_MACHINE, 0.7},
  };
  for (const auto& row : kRows) {
    const BlameVerdict verdict = BlameFor(row.root, row.earlier);
    EXPECT_EQ(verdict.blame, row.blame) << row.name;
    EXPECT_DOUBLE_EQ(verdict.confidence, row.confidence) << row.name;
    EXPECT_FALSE(verdict.reason.empty()) << row.name;
  }
}

TEST(Evidence, SaysBlameInWords) {
  EXPECT_EQ(BlameText(v1::BLAME_MACHINE, 0.6), "machine?, 60 %");
  EXPECT_EQ(BlameText(v1::BLAME_PROGRAM, 0.95), "program, 95 %");
  EXPECT_EQ(BlameText(v1::BLAME_UNSPECIFIED, 0.3), "cause unknown");
}

}  // namespace
}  // namespace muster::coordinator::core
