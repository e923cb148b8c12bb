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
  uint64_t time_is_up = 0;
  uint64_t weights = 0;
  uint64_t ready = 0;
  uint64_t filling = 0;
  uint64_t sealed = 0;
  double fill_seconds = 0;
  double seconds = 0;
  uint64_t losses = 0;
  uint64_t squares = 0;
};

std::vector<std::byte> Pack(const StepReport& report) {
  const Header header{report.stop ? 1u : 0u,
                      report.save,
                      report.written,
                      report.time_is_up ? 1u : 0u,
                      report.weights,
                      report.fill.ready ? 1u : 0u,
                      report.fill.filling ? 1u : 0u,
                      report.fill.sealed,
                      report.fill.seconds,
                      report.seconds,
                      report.losses.size(),
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
  StepReport report;
  report.stop = header.stop != 0;
  report.save = header.save;
  report.written = header.written;
  report.time_is_up = header.time_is_up != 0;
  report.weights = header.weights;
  report.fill = {header.ready != 0, header.filling != 0, header.sealed, header.fill_seconds};
  report.seconds = header.seconds;
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
  summary.written = summary.fill.ready = true;
  summary.time_is_up = reports.front().time_is_up;
  summary.fill.sealed = reports.front().fill.sealed;
  for (const StepReport& report : reports) {
    summary.written = summary.written && report.written != 0;
    summary.stop = summary.stop || report.stop;
    summary.save = std::max(summary.save, report.save);
    summary.weights.push_back(report.weights);
    summary.seconds = std::max(summary.seconds, report.seconds);
    summary.fill.ready = summary.fill.ready && report.fill.ready;
    summary.fill.filling = summary.fill.filling || report.fill.filling;
    summary.fill.seconds = std::max(summary.fill.seconds, report.fill.seconds);
    if (report.fill.sealed != reports.front().fill.sealed) summary.fill.sealed = 0;
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
