#include "coordinator/core/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <string_view>
#include <tuple>

namespace muster::coordinator::core {
namespace {

constexpr int64_t kClockSlackMs = 60'000;  // a report later than that: the clock is wrong
// A node heard from so long after an unclear end did not cause it.
constexpr int64_t kLossExplainsMs = 5'000;
constexpr int64_t kLostTogetherMs = 10'000;

constexpr std::array<std::string_view, 22> kEchoWords = {"connection reset",
                                                         "connection refused",
                                                         "connection closed",
                                                         "connection aborted",
                                                         "connectionreset",
                                                         "connectionrefused",
                                                         "connectionaborted",
                                                         "broken pipe",
                                                         "brokenpipe",
                                                         "econnreset",
                                                         "epipe",
                                                         "socket closed",
                                                         "closed by peer",
                                                         "remote process",
                                                         "remote error",
                                                         "remoteerror",
                                                         "ncclsystemerror",
                                                         "transport retry counter",
                                                         "mpi_",
                                                         "pmix",
                                                         "proc_failed",
                                                         "collective operation timeout"};

// As the trainer says it.
constexpr std::string_view kCorruption = "silent data corruption";

constexpr std::array<std::string_view, 17> kOwnWords = {"traceback (most recent call last)",
                                                        "segmentation fault",
                                                        "bus error",
                                                        "assert",
                                                        "check failed",
                                                        "cuda error",
                                                        "ecc error",
                                                        kCorruption,
                                                        "xid",
                                                        "out of memory",
                                                        "bad_alloc",
                                                        "terminate called",
                                                        "no such file",
                                                        "permission denied",
                                                        "importerror",
                                                        "no space left",
                                                        "not a number"};

constexpr std::array<std::string_view, 7> kDeviceWords = {
    "cuda error",           "ecc error", "xid", "nvlink error", "uncorrectable",
    "device-side hardware", kCorruption};

std::string Lower(const std::string& text) {
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return lower;
}

template <typename Words>
bool HasAny(const std::string& lower, const Words& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// "ValueError: ..." or "some.module.BadThing(Exception): ..."
bool NamesAnException(const std::string& lower) {
  const size_t colon = lower.find(':');
  if (colon == std::string::npos || colon == 0) return false;
  const std::string name = lower.substr(0, colon);
  if (name.find(' ') != std::string::npos) return false;
  const auto ends = [&](std::string_view end) {
    return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  return ends("error") || ends("exception") || ends("interrupt");
}

// What the last lines say, the last one first: the newest line that says anything decides.
RootWeight SaidInLines(const v1::Evidence& evidence) {
  for (int i = evidence.last_lines_size() - 1; i >= 0; --i) {
    const std::string line = Lower(evidence.last_lines(i));
    if (HasAny(line, kEchoWords)) return RootWeight::kEcho;
    if (HasAny(line, kOwnWords) || NamesAnException(line)) return RootWeight::kOwn;
  }
  return RootWeight::kUnclear;
}

RootWeight WeightOfSignal(const v1::Evidence& evidence, int number) {
  switch (number) {
    case SIGPIPE:
      return RootWeight::kEcho;
    case SIGABRT:
      return SaidInLines(evidence);
    case SIGTERM:
    case SIGHUP:
    case SIGINT:
      return RootWeight::kUnclear;
    default:
      return RootWeight::kOwn;
  }
}

bool IsLostNode(const v1::Evidence& evidence) {
  return evidence.kind() == v1::EVIDENCE_KIND_NODE_GONE ||
         evidence.kind() == v1::EVIDENCE_KIND_NODE_SILENT;
}

// The signal, also when a shell between us and the program made an exit code of it.
int SignalOf(const v1::Evidence& evidence) {
  if (evidence.signal() != 0) return evidence.signal();
  return evidence.exit_code() > 128 && evidence.exit_code() < 128 + 32 ? evidence.exit_code() - 128
                                                                       : 0;
}

// By its own clock, if that can be: nothing is seen before it happens.
bool ClockIsCredible(const v1::Evidence& evidence) {
  if (evidence.time_unix_us() <= 0) return false;
  const int64_t late_ms = evidence.seen_unix_ms() - evidence.time_unix_us() / 1000;
  return late_ms >= 0 && late_ms <= kClockSlackMs;
}

// Does `left` come before `right` on their node?
bool EarlierOnNode(const v1::Evidence& left, const v1::Evidence& right) {
  if (left.time_unix_us() > 0 && right.time_unix_us() > 0) {
    return left.time_unix_us() < right.time_unix_us();
  }
  return left.seen_unix_ms() < right.seen_unix_ms();
}

bool EarlierElsewhere(const v1::Evidence& left, const v1::Evidence& right) {
  if (ClockIsCredible(left) && ClockIsCredible(right)) {
    return left.time_unix_us() < right.time_unix_us();
  }
  return left.seen_unix_ms() < right.seen_unix_ms();
}

// Two candidates of different nodes.
bool BetterRoot(const v1::Evidence& left, const v1::Evidence& right) {
  const RootWeight weight = WeightOf(left);
  const RootWeight other = WeightOf(right);
  const bool lost = weight == RootWeight::kLost;
  if (lost != (other == RootWeight::kLost)) {
    const v1::Evidence& gone = lost ? left : right;
    const v1::Evidence& end = lost ? right : left;
    // What the node itself still told came before its loss.
    if (IsLostNode(gone) && end.node() == gone.node() && WeightOf(end) != RootWeight::kEcho) {
      return !lost;
    }
    const int64_t slack = WeightOf(end) == RootWeight::kOwn ? 0 : kLossExplainsMs;
    // The node still spoke when the other end was known: it is not why.
    const bool too_late = IsLostNode(gone) && HappenedMs(gone) > end.seen_unix_ms() + slack;
    return lost != too_late;
  }
  if (weight != other) return weight > other;
  return EarlierElsewhere(left, right);
}

// The root's index; size() when there is none.
size_t RootOf(const std::vector<v1::Evidence>& evidence) {
  std::map<std::string, size_t> first;  // by node, of what ended there
  std::vector<size_t> candidates;
  for (size_t i = 0; i < evidence.size(); ++i) {
    const v1::Evidence& one = evidence[i];
    if (one.role() == v1::EVIDENCE_ROLE_TEARDOWN) continue;
    const bool still = one.kind() == v1::EVIDENCE_KIND_RANK_STILL;
    if (still && one.role() != v1::EVIDENCE_ROLE_ROOT) continue;
    if (still || !one.has_rank()) {
      candidates.push_back(i);
      continue;
    }
    const auto [at, added] = first.emplace(one.node(), i);
    if (!added && EarlierOnNode(one, evidence[at->second])) at->second = i;
  }
  for (const auto& [node, index] : first) candidates.push_back(index);
  std::sort(candidates.begin(), candidates.end());  // of equals the one that came in first
  size_t best = evidence.size();
  for (const size_t index : candidates) {
    if (best == evidence.size() || BetterRoot(evidence[index], evidence[best])) best = index;
  }
  return best;
}

bool SameWay(const v1::Evidence& root, const v1::FailureCause& cause) {
  if (root.has_rank() != cause.has_rank()) return false;
  if (root.exit_code() != cause.exit_code() || root.signal() != cause.signal()) return false;
  return root.rank() == cause.rank() || (root.step() != 0 && root.step() == cause.step());
}

BlameVerdict OfLines(const v1::Evidence& root) {
  for (const std::string& line : root.last_lines()) {
    if (HasAny(Lower(line), kDeviceWords)) {
      return {v1::BLAME_MACHINE, 0.7, "its last lines speak of a failing device"};
    }
  }
  const RootWeight said = SaidInLines(root);
  if (said == RootWeight::kOwn)
    return {v1::BLAME_PROGRAM, 0.75, "it ended with an error of its own"};
  if (said == RootWeight::kEcho) {
    return {v1::BLAME_UNSPECIFIED, 0.3,
            "it only speaks of another rank, and that one said nothing"};
  }
  return {v1::BLAME_PROGRAM, 0.6, "it ended itself, without a word"};
}

BlameVerdict OfSignal(const v1::Evidence& root, int number) {
  switch (number) {
    case SIGKILL:
      return {v1::BLAME_MACHINE, 0.6, "killed from outside: memory ran out, or somebody did it"};
    case SIGSEGV:
    case SIGILL:
    case SIGFPE:
      return {v1::BLAME_PROGRAM, 0.6, "programs crash so; bad memory may too"};
    case SIGBUS:
      return {v1::BLAME_MACHINE, 0.55, "memory that could not be had: full, or bad"};
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
      return {v1::BLAME_UNSPECIFIED, 0.4, "somebody asked it to end"};
    default:
      return OfLines(root);
  }
}

// By this failure alone.
BlameVerdict ByItself(const v1::Evidence& root) {
  switch (root.kind()) {
    case v1::EVIDENCE_KIND_NODE_GONE:
      return {v1::BLAME_MACHINE, 0.9, "its node is gone"};
    case v1::EVIDENCE_KIND_NODE_SILENT:
      return {v1::BLAME_MACHINE, 0.85, "its node fell silent"};
    case v1::EVIDENCE_KIND_DEVICE_ERROR:
      return {v1::BLAME_MACHINE, 0.95, "a device reported an error"};
    case v1::EVIDENCE_KIND_SHIM_DIED:
      return {v1::BLAME_MACHINE, 0.6, "what kept its ranks is gone, and no rank ended by itself"};
    case v1::EVIDENCE_KIND_BAD_CHECKPOINT:
      return {v1::BLAME_CHECKPOINT, 0.9, "the checkpoint cannot be resumed from"};
    case v1::EVIDENCE_KIND_RANK_NOT_STARTED:
      return {v1::BLAME_PROGRAM, 0.7, "its program could not be started"};
    case v1::EVIDENCE_KIND_RANK_STILL:
      return {v1::BLAME_UNSPECIFIED, 0.3, "it stood still; why cannot be told from one time"};
    case v1::EVIDENCE_KIND_RANK_EXIT:
    case v1::EVIDENCE_KIND_RANK_SIGNAL:
      break;
    case v1::EVIDENCE_KIND_UNSPECIFIED:
    case v1::EvidenceKind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::EvidenceKind_INT_MAX_SENTINEL_DO_NOT_USE_:
      return {};
  }
  const int number = SignalOf(root);
  return number != 0 ? OfSignal(root, number) : OfLines(root);
}

}  // namespace

bool FoundCorruption(const std::vector<v1::Evidence>& evidence) {
  for (const v1::Evidence& one : evidence) {
    for (const std::string& line : one.last_lines()) {
      if (Lower(line).find(kCorruption) != std::string::npos) return true;
    }
  }
  return false;
}

RootWeight WeightOf(const v1::Evidence& evidence) {
  switch (evidence.kind()) {
    case v1::EVIDENCE_KIND_NODE_GONE:
    case v1::EVIDENCE_KIND_NODE_SILENT:
    case v1::EVIDENCE_KIND_DEVICE_ERROR:
    case v1::EVIDENCE_KIND_SHIM_DIED:
      return RootWeight::kLost;
    case v1::EVIDENCE_KIND_RANK_NOT_STARTED:
    case v1::EVIDENCE_KIND_RANK_STILL:
    case v1::EVIDENCE_KIND_BAD_CHECKPOINT:
      return RootWeight::kOwn;
    case v1::EVIDENCE_KIND_RANK_EXIT:
    case v1::EVIDENCE_KIND_RANK_SIGNAL:
      break;
    case v1::EVIDENCE_KIND_UNSPECIFIED:
    case v1::EvidenceKind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::EvidenceKind_INT_MAX_SENTINEL_DO_NOT_USE_:
      return RootWeight::kUnclear;
  }
  const int number = SignalOf(evidence);
  return number != 0 ? WeightOfSignal(evidence, number) : SaidInLines(evidence);
}

void SetRoles(std::vector<v1::Evidence>* evidence) {
  const size_t root = RootOf(*evidence);
  if (root == evidence->size()) return;
  const v1::Evidence first = (*evidence)[root];
  for (v1::Evidence& one : *evidence) {
    if (one.role() == v1::EVIDENCE_ROLE_TEARDOWN) continue;
    const bool together = IsLostNode(first) && IsLostNode(one) &&
                          HappenedMs(one) - HappenedMs(first) <= kLostTogetherMs;
    one.set_role(together ? v1::EVIDENCE_ROLE_ROOT : v1::EVIDENCE_ROLE_CASCADE);
  }
  (*evidence)[root].set_role(v1::EVIDENCE_ROLE_ROOT);
  const auto at = evidence->begin() + static_cast<std::ptrdiff_t>(root);
  std::rotate(evidence->begin(), at, at + 1);
}

int64_t HappenedMs(const v1::Evidence& evidence) {
  if (IsLostNode(evidence) && evidence.time_unix_us() > 0) return evidence.time_unix_us() / 1000;
  return ClockIsCredible(evidence) ? evidence.time_unix_us() / 1000 : evidence.seen_unix_ms();
}

BlameVerdict BlameFor(const v1::Evidence& root, const std::vector<v1::FailureCause>& earlier) {
  BlameVerdict alone = ByItself(root);
  if (!root.has_rank()) return alone;
  size_t elsewhere = 0, here = 0, otherwise_here = 0;
  for (const v1::FailureCause& cause : earlier) {
    const bool same_node = cause.node() == root.node();
    if (SameWay(root, cause)) {
      ++(same_node ? here : elsewhere);
    } else if (same_node) {
      ++otherwise_here;
    }
  }
  if (elsewhere > 0) {
    return {v1::BLAME_PROGRAM, elsewhere == 1 ? 0.85 : 0.95,
            fmt::format("it failed the same way before, on {}",
                        elsewhere == 1 ? "another node" : "other nodes")};
  }
  if (otherwise_here > 0) {
    return {v1::BLAME_MACHINE, otherwise_here == 1 ? 0.7 : 0.85,
            fmt::format("{} failed this job before, in another way", root.node())};
  }
  if (here == 0) return alone;
  if (alone.blame == v1::BLAME_PROGRAM) {
    return {v1::BLAME_PROGRAM, std::max(alone.confidence, 0.8),
            "it failed the same way before, on the same node"};
  }
  return {v1::BLAME_MACHINE, std::max(alone.confidence, 0.7),
          "it ended so before, on the same node and nowhere else"};
}

std::string BlameText(v1::Blame blame, double confidence) {
  const char* who = "";
  switch (blame) {
    case v1::BLAME_PROGRAM:
      who = "program";
      break;
    case v1::BLAME_MACHINE:
      who = "machine";
      break;
    case v1::BLAME_CHECKPOINT:
      who = "checkpoint";
      break;
    case v1::BLAME_UNSPECIFIED:
    case v1::Blame_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Blame_INT_MAX_SENTINEL_DO_NOT_USE_:
      return "cause unknown";
  }
  return fmt::format("{}{}, {:.0f} %", who, confidence < 0.75 ? "?" : "", 100 * confidence);
}

}  // namespace muster::coordinator::core
