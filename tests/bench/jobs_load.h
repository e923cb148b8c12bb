// The parts of jobs_load: a journal's worth of jobs, clients that submit, clients that ask.
//
// Each prints its figures as JSON objects, one a line. What went wrong is a status that says what
// was lost or doubled.
//
// Threads: each function starts those it needs and ends them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster::bench {

// A training job of ordinary size, with everything its job file can leave out filled in.
v1::JobSpec OrdinaryJob(const std::string& name, uint32_t ranks);

struct History {
  uint64_t ended = 0;    // jobs with the attempts, milestones and checkpoints of a whole life
  uint64_t waiting = 0;  // jobs submitted after those
};

// A state folder as a coordinator would have left it. Every 10th ended job had two attempts, every
// 100th failed, and all nodes are dead.
absl::Status WriteHistory(const std::string& state_folder, const History& history);

// What the journal alone can do: `callers` append a submission each and wait until it is durable.
absl::Status AppendLoad(const std::string& folder, uint64_t records, uint32_t callers);

struct SubmitLoad {
  std::string address;
  uint64_t jobs = 0;
  uint32_t clients = 0;
  std::string word;         // of the jobs' names and request_ids: fresh for every load
  bool check_only = false;  // validate_only: the whole way but for the journal
};

// Submits from `clients` connections at once, each call again with its request_id until it is
// answered, so the coordinator may be killed and started meanwhile. Prints {"acknowledged": n}
// after each tenth. Then sends every 10th submission again and lists all jobs.
// Errors: kDataLoss when a job is missing, there twice, or under another id than was answered.
absl::Status SubmitAndCheck(const SubmitLoad& load);

// The latency of every kind of question, `times` each, one after the other from one client.
// `waiting_job` 0: there is none.
absl::Status AskLoad(const std::string& address, uint64_t ended_job, uint64_t waiting_job,
                     uint32_t times);

}  // namespace muster::bench
