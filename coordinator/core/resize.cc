#include "coordinator/core/resize.h"

#include <algorithm>

#include "coordinator/core/job_table.h"
#include "spec/data_sizes.h"

namespace muster::coordinator::core {
namespace {

constexpr absl::Duration kGrowAfterDefault = absl::Seconds(60);
constexpr size_t kEach = 16;  // of the longest, every usable size is tried
constexpr size_t kMost = 32;

absl::Duration GrowAfter(const v1::RecoverySpec& recovery) {
  if (!recovery.has_grow_after()) return kGrowAfterDefault;
  return absl::Seconds(recovery.grow_after().seconds()) +
         absl::Nanoseconds(recovery.grow_after().nanos());
}

}  // namespace

std::vector<scheduler::ShorterShape> ShorterShapesOf(const v1::JobSpec& spec) {
  std::vector<scheduler::ShorterShape> shapes;
  const std::vector<uint32_t> sizes = spec::UsableDataSizes(spec);
  const auto add = [&](uint32_t size) {
    shapes.push_back({size, scheduler::ShapeOf(spec::WithDataSize(spec, size))});
  };
  const size_t each = sizes.size() <= kMost + 1 ? sizes.size() : kEach + 1;
  for (size_t i = 1; i < each; ++i) add(sizes[i]);
  const size_t left = sizes.size() - std::min(each, sizes.size());
  if (left == 0) return shapes;
  const size_t picked = kMost - kEach;
  for (size_t i = 1; i <= picked; ++i) add(sizes[each - 1 + left * i / picked]);
  return shapes;
}

google::protobuf::RepeatedPtrField<v1::Axis> MeshWithData(const v1::JobSpec& spec, uint32_t data) {
  return spec::WithDataSize(spec, data).mesh();
}

uint32_t DataSizeOf(const google::protobuf::RepeatedPtrField<v1::Axis>& mesh) {
  for (const v1::Axis& axis : mesh) {
    if (axis.name() == "data") return axis.size();
  }
  return 0;
}

const google::protobuf::RepeatedPtrField<v1::Axis>& MeshOf(const Job& job, const Attempt& attempt) {
  return attempt.facts.mesh().empty() ? job.spec.mesh() : attempt.facts.mesh();
}

absl::Time GrowAt(const GrowTimes& times) {
  if (!times.runs) return absl::InfiniteFuture();
  const absl::Time at = times.committed ? times.started : times.started + times.grow_after;
  return std::max(at, times.last_grown + times.grow_after);
}

absl::Time GrowAt(const Job& job) {
  const Attempt& attempt = *job.LiveAttempt();
  const v1::CheckpointRef* newest = job.checkpoints.NewestCommitted();
  return GrowAt(GrowTimes{
      .runs = !attempt.facts.mesh().empty() && attempt.facts.state() == v1::ATTEMPT_STATE_RUNNING &&
              !job.cancel_requested &&
              (Backoff(job.fruitless) == absl::ZeroDuration() || attempt.new_checkpoint),
      .started = absl::FromUnixMillis(attempt.facts.start_unix_ms()),
      .committed = newest != nullptr && newest->attempt() == attempt.facts.number(),
      .last_grown =
          job.grown_unix_ms == 0 ? absl::InfinitePast() : absl::FromUnixMillis(job.grown_unix_ms),
      .grow_after = GrowAfter(job.spec.recovery())});
}

}  // namespace muster::coordinator::core
