#include <filesystem>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "coordinator/journal/sqlite_journal.h"
#include "coordinator/journal/state_folder.h"
#include "tests/bench/jobs_load.h"
#include "tests/bench/latencies.h"

namespace muster::bench {
namespace {

constexpr uint32_t kNodes = 64;
constexpr uint32_t kSlots = 8;
constexpr uint64_t kRanksMax = 16;
constexpr uint64_t kAgainEvery = 10;
constexpr uint64_t kFailsEvery = 100;
constexpr size_t kRecordsAtOnce = 4'096;

// The lives of jobs one after the other, in records.
class Chronicle {
 public:
  explicit Chronicle(coordinator::journal::Journal* journal) : journal_(journal) {}

  void Open() {
    Next()->mutable_cluster_created()->set_cluster_id("0123456789abcdef");
    Next()->mutable_epoch_started()->set_epoch(1);
    for (uint32_t i = 0; i < kNodes; ++i) {
      v1::NodeJoined* joined = Next()->mutable_node_joined();
      joined->set_node(NodeName(i));
      joined->set_incarnation(1);
      joined->set_slots(kSlots);
      joined->set_peer_address("127.0.0.1:1");
    }
  }

  absl::Status Close() {
    for (uint32_t i = 0; i < kNodes; ++i) {
      v1::NodeDied* died = Next()->mutable_node_died();
      died->set_node(NodeName(i));
      died->set_incarnation(1);
      died->set_reason("silent for 5 s");
    }
    Write();
    return journal_->Flush();
  }

  void Waits(uint64_t job, uint32_t ranks) {
    const std::string name = fmt::format("train-{}", job);
    v1::JobSubmitted* submitted = Next()->mutable_job_submitted();
    submitted->set_job_id(job);
    submitted->set_uid(fmt::format("{}-{}-012345", name, job));
    *submitted->mutable_spec() = spec_;
    submitted->mutable_spec()->set_name(name);
    submitted->mutable_spec()->mutable_schedule()->set_queue("default");
    submitted->mutable_spec()->mutable_mesh(0)->set_size(ranks);
    submitted->set_request_id(fmt::format("{:032x}", job));
    submitted->set_user(fmt::format("user{}", job % 40));
  }

  void Lives(uint64_t job) {
    Waits(job, kSlots);
    const bool again = job % kAgainEvery == 0;
    const bool fails = job % kFailsEvery == 0;
    uint64_t attempt = 0;
    if (again) Attempt(job, ++attempt, v1::ATTEMPT_OUTCOME_RANK_FAILED);
    Attempt(job, ++attempt,
            fails ? v1::ATTEMPT_OUTCOME_RANK_FAILED : v1::ATTEMPT_OUTCOME_SUCCEEDED);
    v1::JobEnded* ended = Next()->mutable_job_ended();
    ended->set_job_id(job);
    ended->set_state(fails ? v1::JOB_STATE_FAILED : v1::JOB_STATE_SUCCEEDED);
    ended->set_reason(fails ? "2 attempts in a row without progress" : "1000 steps");
    if (records_.size() >= kRecordsAtOnce) Write();
  }

 private:
  static std::string NodeName(uint64_t index) { return fmt::format("n{}", index); }

  v1::Record* Next() {
    now_ms_ += 10;
    v1::Record& record = records_.emplace_back();
    record.set_time_unix_ms(now_ms_);
    return &record;
  }

  void Attempt(uint64_t job, uint64_t attempt, v1::AttemptOutcome outcome) {
    const std::string node = NodeName(job % kNodes);
    v1::AttemptStarted* started = Next()->mutable_attempt_started();
    started->set_job_id(job);
    started->set_attempt(attempt);
    started->set_reason("8 ranks on 1 node: " + node);
    v1::NodeShare* share = started->add_shares();
    share->set_node(node);
    share->set_ranks(kSlots);
    for (uint32_t slot = 0; slot < kSlots; ++slot) share->add_slots(slot);
    for (const bool first_step : {false, true}) {
      v1::AttemptMilestone* milestone = Next()->mutable_attempt_milestone();
      milestone->set_job_id(job);
      milestone->set_attempt(attempt);
      milestone->set_first_step(first_step);
    }
    Checkpoint(job, attempt);
    if (outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED) {
      v1::AttemptStopping* stopping = Next()->mutable_attempt_stopping();
      stopping->set_job_id(job);
      stopping->set_attempt(attempt);
      stopping->set_outcome(outcome);
      stopping->mutable_cause()->set_node(node);
      stopping->mutable_cause()->set_text("rank 3 on " + node + " killed by SIGKILL in step 641");
    }
    v1::AttemptEnded* ended = Next()->mutable_attempt_ended();
    ended->set_job_id(job);
    ended->set_attempt(attempt);
    ended->set_outcome(outcome);
    ended->set_last_step(attempt * 500);
    ended->set_productive_seconds(3600.5);
    ended->set_last_loss(2.5);
  }

  void Checkpoint(uint64_t job, uint64_t attempt) {
    v1::CheckpointRef checkpoint;
    checkpoint.set_step(attempt * 400);
    checkpoint.set_attempt(attempt);
    checkpoint.set_manifest_sha256(std::string(32, 'm'));
    checkpoint.set_bytes(1'000'000'000);
    v1::CommitPermitted* permitted = Next()->mutable_commit_permitted();
    permitted->set_job_id(job);
    permitted->set_attempt(attempt);
    *permitted->mutable_checkpoint() = checkpoint;
    v1::CheckpointCommitted* committed = Next()->mutable_checkpoint_committed();
    committed->set_job_id(job);
    committed->set_attempt(attempt);
    checkpoint.set_committed(true);
    *committed->mutable_checkpoint() = checkpoint;
  }

  void Write() { journal_->Append(std::exchange(records_, {}), nullptr); }

  coordinator::journal::Journal* const journal_;
  const v1::JobSpec spec_ = OrdinaryJob("train", kSlots);
  std::vector<v1::Record> records_;
  int64_t now_ms_ = 1'700'000'000'000;
};

}  // namespace

absl::Status WriteHistory(const std::string& state_folder, const History& history) {
  MUSTER_ASSIGN_OR_RETURN(const auto folder, coordinator::journal::StateFolder::Open(state_folder));
  MUSTER_ASSIGN_OR_RETURN(const auto journal,
                          coordinator::journal::SqliteJournal::Open(folder->journal_path()));
  Chronicle chronicle(journal.get());
  chronicle.Open();
  uint64_t job = 0;
  while (job < history.ended) chronicle.Lives(++job);
  for (const uint64_t last = job + history.waiting; job < last;) {
    ++job;
    chronicle.Waits(job, static_cast<uint32_t>(1 + job % kRanksMax));
  }
  return chronicle.Close();
}

absl::Status AppendLoad(const std::string& folder, uint64_t records, uint32_t callers) {
  MUSTER_ASSIGN_OR_RETURN(const auto journal,
                          coordinator::journal::SqliteJournal::Open(folder + "/append.db"));
  v1::Record record;
  record.set_time_unix_ms(1'700'000'000'000);
  *record.mutable_job_submitted()->mutable_spec() = OrdinaryJob("append", kSlots);
  record.mutable_job_submitted()->set_request_id(std::string(32, 'r'));
  absl::Mutex mutex;
  uint64_t under_way = 0;
  const auto may_append = [&] { return under_way < callers; };
  const absl::Time start = absl::Now();
  for (uint64_t i = 0; i < records; ++i) {
    {
      absl::MutexLock lock(&mutex);
      mutex.Await(absl::Condition(&may_append));
      ++under_way;
    }
    record.mutable_job_submitted()->set_job_id(i + 1);
    journal->Append({record}, [&](const absl::Status&) {
      absl::MutexLock lock(&mutex);
      --under_way;
    });
  }
  MUSTER_RETURN_IF_ERROR(journal->Flush());
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  fmt::print("{{\"records\": {}, \"seconds\": {:.3f}, \"per_second\": {:.0f}, \"bytes\": {}}}\n",
             records, seconds, static_cast<double>(records) / seconds, record.ByteSizeLong());
  return absl::OkStatus();
}

}  // namespace muster::bench
