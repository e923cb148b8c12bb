#include "trainer/loop/step_report.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/check.h"
#include "common/status.h"

namespace muster::trainer::loop {
namespace {

struct Header {
  uint64_t stop = 0;
  uint64_t save = 0;
  uint64_t written = 0;
  uint64_t losses = 0;
  uint64_t squares = 0;
};

std::vector<std::byte> Pack(const StepReport& report) {
  const Header header{report.stop ? 1u : 0u, report.save, report.written, report.losses.size(),
                      report.squares.size()};
  std::vector<std::byte> bytes(sizeof(header) + (header.losses + header.squares) * sizeof(double));
  std::byte* place = bytes.data();
  std::memcpy(place, &header, sizeof(header));
  place += sizeof(header);
  if (header.losses > 0) std::memcpy(place, report.losses.data(), header.losses * sizeof(double));
  place += header.losses * sizeof(double);
  if (header.squares > 0) {
    std::memcpy(place, report.squares.data(), header.squares * sizeof(double));
  }
  return bytes;
}

StepReport Unpack(const std::vector<std::byte>& bytes) {
  Header header;
  CHECK(bytes.size() >= sizeof(header), "a step report of {} bytes", bytes.size());
  std::memcpy(&header, bytes.data(), sizeof(header));
  CHECK(bytes.size() == sizeof(header) + (header.losses + header.squares) * sizeof(double),
        "a step report of {} bytes", bytes.size());
  StepReport report{header.stop != 0, header.save, header.written, {}, {}};
  const std::byte* place = bytes.data() + sizeof(header);
  report.losses.resize(header.losses);
  if (header.losses > 0) std::memcpy(report.losses.data(), place, header.losses * sizeof(double));
  place += header.losses * sizeof(double);
  report.squares.resize(header.squares);
  if (header.squares > 0) {
    std::memcpy(report.squares.data(), place, header.squares * sizeof(double));
  }
  return report;
}

// Shares of one bucket lie in data-rank order, so going bucket by bucket, rank by rank, meets the
// blocks in flat order.
double SumSquares(const std::vector<StepReport>& reports, const std::vector<int>& ranks,
                  const optim::ShardPlan& plan) {
  std::vector<size_t> next(ranks.size(), 0);
  double sum = 0;
  for (const std::vector<parallel::Interval>& shares : plan.shares) {
    for (size_t d = 0; d < ranks.size(); ++d) {
      const std::vector<double>& squares = reports[static_cast<size_t>(ranks[d])].squares;
      for (size_t k = 0; k < shares[d].count() / parallel::kBlock; ++k) {
        CHECK(next[d] < squares.size(), "rank {} reported too few blocks", ranks[d]);
        sum += squares[next[d]++];
      }
    }
  }
  return sum;
}

}  // namespace

absl::StatusOr<StepSummary> ExchangeReports(RankGroups& groups, const optim::ShardPlan& plan,
                                            const StepReport& mine) {
  MUSTER_ASSIGN_OR_RETURN(std::vector<std::vector<std::byte>> all,
                          groups.world->AllGatherBytes(Pack(mine)));
  std::vector<StepReport> reports;
  for (const std::vector<std::byte>& bytes : all) reports.push_back(Unpack(bytes));
  StepSummary summary;
  summary.written = true;
  for (const StepReport& report : reports) {
    summary.written = summary.written && report.written != 0;
    summary.stop = summary.stop || report.stop;
    summary.save = std::max(summary.save, report.save);
  }
  for (int rank : groups.world_rank[0]) {
    for (double loss : reports[static_cast<size_t>(rank)].losses) summary.loss_sum += loss;
  }
  double squares = 0;
  for (const std::vector<int>& ranks : groups.world_rank) {
    squares += SumSquares(reports, ranks, plan);
  }
  summary.grad_norm = std::sqrt(squares);
  return summary;
}

}  // namespace muster::trainer::loop
