// A core in virtual time with workers that do as they are told at once, and jobs that follow their
// script: every attempt ends by itself, well, exactly at its time limit (never without one); one
// that is asked to stop takes all of its grace.
//
// A world can be forked: the twin knows the same and goes its own way from there.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/cluster.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::core {

// The attempt as the journal says it was started.
struct Begun {
  absl::Time at;
  std::vector<v1::NodeShare> shares;
  std::vector<std::string> spares;
};

class ScriptedWorld {
 public:
  // Nodes of 8 slots, 8 to a rack, 4 racks to a pod.
  ScriptedWorld(uint32_t nodes, absl::Time now);
  ScriptedWorld(ScriptedWorld&&) = default;

  std::unique_ptr<ScriptedWorld> Fork() const;

  void SetQueue(const v1::QueueSpec& queue);
  // Acknowledged: CHECK. The id of the job.
  uint64_t Submit(const v1::JobSpec& spec, const std::string& user);
  v1::PlanJobResponse Plan(const v1::JobSpec& spec, const std::string& user) const;
  // Refused or not. Not HOLD and the like of a job that is not there.
  void Control(uint64_t job, v1::JobAction action);
  void Cancel(uint64_t job);
  // Whatever is due up to then, in order of time.
  void RunUntil(absl::Time end);
  // The next thing that is due; false when there is none until `end`.
  bool RunOnce(absl::Time end);

  absl::Time now() const { return now_; }
  // First attempts, by job.
  const std::map<uint64_t, Begun>& first_attempts() const { return first_attempts_; }
  // Victims of the job and when each was told.
  const std::map<uint64_t, std::vector<uint64_t>>& victims() const { return victims_; }
  uint64_t preemptions() const { return preemptions_; }
  uint64_t slots_held() const { return slots_held_; }
  uint64_t inputs() const { return inputs_; }
  // Submitted and not over.
  const std::set<uint64_t>& jobs() const { return jobs_; }

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // job, attempt
  struct Local {                              // an attempt on the workers
    std::vector<v1::NodeShare> shares;
    bool stopping = false;
    absl::Time ends_at;  // by itself, or when it has saved
  };
  ScriptedWorld() = default;
  void Connect(uint32_t number);
  Outcome Do(const Input& input);
  void Note(const v1::Record& record);
  void Obey(SessionId session, const v1::CoordinatorMessage& message);
  void Say();
  void End(Key key);
  v1::AttemptReport ReportOf(const Key& key, const v1::NodeShare& share, bool stopped,
                             bool by_us) const;

  Options options_;
  std::unique_ptr<Cluster> cluster_;
  absl::Time now_;
  std::map<Key, Local> attempts_;
  std::set<std::pair<absl::Time, Key>> agenda_;  // their ends
  std::vector<std::pair<SessionId, v1::AttemptReport>> to_say_;
  std::map<uint64_t, Begun> first_attempts_;
  std::map<uint64_t, std::vector<uint64_t>> victims_;
  std::map<uint64_t, v1::ScheduleSpec> schedules_;  // by job
  std::map<Key, uint64_t> held_;                    // slots
  uint64_t preemptions_ = 0;
  uint64_t slots_held_ = 0;
  uint64_t inputs_ = 0;
  std::set<uint64_t> jobs_;
};

}  // namespace muster::coordinator::core
