// The story of a job in one line per event, as `muster watch` shows it. Every durable event comes
// from one record, so a replay tells the same story.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ids.h"
#include "muster/v1/job_service.pb.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::core {

struct ClusterState;
struct Job;
struct Attempt;

// The newest durable events, oldest first.
class EventRing {
 public:
  explicit EventRing(size_t kept) : kept_(kept) {}
  void Push(v1::JobEvent event);
  // kOutOfRange when some after `revision` were forgotten. Job 0: of all jobs.
  absl::StatusOr<std::vector<v1::JobEvent>> After(uint64_t revision, JobId job) const;

 private:
  size_t kept_;
  std::deque<v1::JobEvent> events_;
  uint64_t forgotten_ = 0;  // the newest revision no longer here
};

// The event a record makes, in the state after it was applied; none for most node records.
std::optional<v1::JobEvent> EventOf(const ClusterState& state, const v1::Record& record);

v1::JobEvent ProgressEvent(const ClusterState& state, const Job& job, const Attempt& attempt);
v1::JobEvent WaitingEvent(const ClusterState& state, const Job& job, const std::string& reason);

// Steps the ended attempts before this one finished beyond where it resumed.
uint64_t StepsRecomputed(const Job& job, const Attempt& attempt);

}  // namespace muster::coordinator::core
