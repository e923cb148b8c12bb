#include "trainer/loop/replica_check.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "checkpoint/fingerprint.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"

namespace muster::trainer::loop {
namespace {

constexpr size_t kNamesMax = 3;

absl::StatusOr<std::vector<std::vector<uint64_t>>> Gather(collective::Collective& group,
                                                          const std::vector<uint64_t>& mine) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group.AllGatherBytes(std::as_bytes(std::span(mine))));
  std::vector<std::vector<uint64_t>> out;
  for (const std::vector<std::byte>& bytes : all) {
    std::vector<uint64_t>& numbers = out.emplace_back(bytes.size() / sizeof(uint64_t));
    if (!bytes.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  }
  return out;
}

// The tensors in which two lists of fingerprints differ.
std::string NamesOf(const parallel::ParameterTable& table, const std::vector<uint64_t>& a,
                    const std::vector<uint64_t>& b) {
  std::vector<std::string> names;
  size_t count = 0;
  for (size_t i = 0; i < table.parameters.size(); ++i) {
    if (a[i] == b[i]) continue;
    if (++count <= kNamesMax) names.push_back(table.parameters[i].name);
  }
  return fmt::format("{}{}", fmt::join(names, ", "),
                     count > kNamesMax ? fmt::format(" and {} more", count - kNamesMax) : "");
}

}  // namespace

ReplicaVerdict JudgeReplicas(std::span<const uint64_t> hashes) {
  std::map<uint64_t, size_t> votes;
  for (const uint64_t hash : hashes) ++votes[hash];
  ReplicaVerdict verdict;
  verdict.equal = votes.size() <= 1;
  if (verdict.equal) return verdict;
  for (const auto& [hash, count] : votes) {
    if (2 * count <= hashes.size()) continue;
    for (size_t i = 0; i < hashes.size(); ++i) {
      if (hashes[i] != hash) verdict.odd.push_back(i);
    }
  }
  return verdict;
}

uint64_t HashOfReplica(const std::vector<uint64_t>& fingerprints) {
  const checkpoint::Box box =
      checkpoint::WholeTensor("fingerprints", checkpoint::DType::kI64, {fingerprints.size()});
  return checkpoint::Fingerprint(box, std::as_bytes(std::span(fingerprints)));
}

absl::Status CompareReplicas(const parallel::ParameterTable& table,
                             const std::vector<uint64_t>& mine, uint64_t step,
                             const RankGroups& groups, const rank::Console& console) {
  if (groups.data->size() < 2) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<uint64_t>> all,
                          Gather(*groups.world, {HashOfReplica(mine)}));
  std::vector<uint64_t> hashes;
  for (const std::vector<uint64_t>& one : all) hashes.push_back(one.at(0));
  return CompareHashes(table, mine, hashes, step, groups, console);
}

absl::Status CompareHashes(const parallel::ParameterTable& table, const std::vector<uint64_t>& mine,
                           const std::vector<uint64_t>& hashes, uint64_t step,
                           const RankGroups& groups, const rank::Console& console) {
  const auto replicas = static_cast<size_t>(groups.data->size());
  // Every rank judges every group of replicas, so all agree without another word.
  std::vector<int> odd, unclear;
  for (const std::vector<int>& ranks : groups.world_rank) {
    std::vector<uint64_t> group;
    for (const int rank : ranks) group.push_back(hashes[static_cast<size_t>(rank)]);
    const ReplicaVerdict verdict = JudgeReplicas(group);
    if (verdict.equal) continue;
    for (const size_t i : verdict.odd) odd.push_back(ranks[i]);
    if (verdict.odd.empty()) unclear.insert(unclear.end(), ranks.begin(), ranks.end());
  }
  if (odd.empty() && unclear.empty()) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<uint64_t>> details,
                          Gather(*groups.data, mine));
  const int rank = groups.world->rank();
  const auto own = static_cast<size_t>(groups.data->rank());
  if (!odd.empty()) {
    if (std::find(odd.begin(), odd.end(), rank) == odd.end()) {
      if (groups.first()) {
        console.problem(
            fmt::format("step {}: rank {} differs from its replicas: it is accused of "
                        "silent data corruption, the others wait for the next attempt",
                        step, fmt::join(odd, ", rank ")));
      }
      return groups.world->Barrier();  // until the worker ends us: nobody else is to blame
    }
    const size_t other = own == 0 ? 1 : 0;
    size_t good = other;
    for (size_t i = 0; i < replicas; ++i) {
      const int there = groups.world_rank[static_cast<size_t>(groups.tensor->rank())][i];
      if (std::find(odd.begin(), odd.end(), there) == odd.end()) good = i;
    }
    return Internal(
        "step {}: silent data corruption: the weights of rank {} differ from those of its {} "
        "data-parallel replicas in {}; the job goes on from its last save on storage, test this "
        "machine",
        step, rank, replicas - 1, NamesOf(table, mine, details[good]));
  }
  const bool concerned = std::find(unclear.begin(), unclear.end(), rank) != unclear.end();
  absl::Status mismatch;
  if (concerned) {
    const size_t other = own == 0 ? 1 : 0;
    mismatch = Internal(
        "step {}: silent data corruption: ranks {} hold different weights in {}, and no majority "
        "says which are right; the job goes on from its last save on storage, test their machines",
        step, fmt::join(unclear, ", "), NamesOf(table, mine, details[other]));
  }
  return rank::Agree(*groups.world, mismatch);
}

}  // namespace muster::trainer::loop
