#include "coordinator/daemon/metrics.h"

#include <algorithm>
#include <optional>

#include "common/status.h"

namespace muster::coordinator::daemon {
namespace {

// Collects samples; HELP and TYPE once per name.
class Text {
 public:
  void Family(const char* name, const char* type, const char* help) {
    name_ = name;
    out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <typename Value>
  void Sample(const std::string& labels, Value value, const char* suffix = "") {
    out_ +=
        fmt::format("{}{}{} {}\n", name_, suffix, labels.empty() ? "" : "{" + labels + "}", value);
  }
  std::string Take() { return std::move(out_); }

 private:
  const char* name_ = "";
  std::string out_;
};

// "JOB_STATE_RUNNING" → "running".
std::string Word(const std::string& enum_name, size_t prefix) {
  std::string word = enum_name.size() > prefix ? enum_name.substr(prefix) : enum_name;
  for (char& c : word) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return word;
}

std::string StateWord(v1::JobState state) {
  return Word(v1::JobState_Name(state), sizeof "JOB_STATE_" - 1);
}

std::vector<v1::Job> ActiveJobs(const core::Cluster& cluster) {
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  request.set_page_size(1'000);
  request.set_full(true);
  for (const v1::JobState state :
       {v1::JOB_STATE_QUEUED, v1::JOB_STATE_STARTING, v1::JOB_STATE_RUNNING, v1::JOB_STATE_STOPPING,
        v1::JOB_STATE_SUSPENDED}) {
    request.add_states(state);
  }
  while (true) {
    absl::StatusOr<v1::ListJobsResponse> page = cluster.ListJobs(request);
    if (!page.ok()) return jobs;
    for (v1::Job& job : *page->mutable_jobs()) jobs.push_back(std::move(job));
    if (page->next_page_token().empty()) return jobs;
    request.set_page_token(page->next_page_token());
  }
}

// From the newest failure that was recovered from to the first step after it.
std::optional<double> LastRecoverySeconds(const v1::Job& job) {
  for (int i = job.attempts_size() - 1; i > 0; --i) {
    const int64_t failed = job.attempts(i - 1).failure_unix_ms();
    const int64_t resumed = job.attempts(i).first_step_unix_ms();
    if (failed > 0 && resumed >= failed) return static_cast<double>(resumed - failed) / 1e3;
  }
  return std::nullopt;
}

void WriteNodes(const core::Cluster& cluster, Text& text) {
  std::map<v1::NodeState, uint64_t> by_state = {
      {v1::NODE_STATE_READY, 0}, {v1::NODE_STATE_SUSPECT, 0}, {v1::NODE_STATE_DEAD, 0}};
  std::map<v1::NodeAdmission, uint64_t> by_admission = {{v1::NODE_ADMISSION_OPEN, 0},
                                                        {v1::NODE_ADMISSION_CORDONED, 0},
                                                        {v1::NODE_ADMISSION_DRAINING, 0},
                                                        {v1::NODE_ADMISSION_DRAINED, 0}};
  std::map<v1::Quarantine, uint64_t> by_quarantine = {{v1::QUARANTINE_NONE, 0},
                                                      {v1::QUARANTINE_COOLING, 0},
                                                      {v1::QUARANTINE_TESTING, 0},
                                                      {v1::QUARANTINE_PROBATION, 0},
                                                      {v1::QUARANTINE_ADVISED, 0}};
  v1::ListNodesRequest request;
  request.set_page_size(2'000);
  while (true) {
    const absl::StatusOr<v1::ListNodesResponse> page = cluster.ListNodes(request);
    if (!page.ok()) break;
    for (const v1::Node& node : page->nodes()) {
      ++by_state[node.state()];
      ++by_admission[node.admission()];
      ++by_quarantine[node.quarantine()];
    }
    if (page->next_page_token().empty()) break;
    request.set_page_token(page->next_page_token());
  }
  text.Family("muster_nodes", "gauge", "Nodes by state.");
  for (const auto& [state, count] : by_state) {
    text.Sample("state=\"" + Word(v1::NodeState_Name(state), sizeof "NODE_STATE_" - 1) + "\"",
                count);
  }
  text.Family("muster_nodes_by_admission", "gauge", "Nodes by what they are admitted for.");
  for (const auto& [admission, count] : by_admission) {
    text.Sample("admission=\"" +
                    Word(v1::NodeAdmission_Name(admission), sizeof "NODE_ADMISSION_" - 1) + "\"",
                count);
  }
  text.Family("muster_nodes_by_quarantine", "gauge", "Nodes by state of their quarantine.");
  for (const auto& [quarantine, count] : by_quarantine) {
    text.Sample(
        "quarantine=\"" + Word(v1::Quarantine_Name(quarantine), sizeof "QUARANTINE_" - 1) + "\"",
        count);
  }
}

void WriteJobs(const std::vector<v1::Job>& jobs, Text& text) {
  std::map<v1::JobState, uint64_t> by_state = {{v1::JOB_STATE_QUEUED, 0},
                                               {v1::JOB_STATE_STARTING, 0},
                                               {v1::JOB_STATE_RUNNING, 0},
                                               {v1::JOB_STATE_STOPPING, 0}};
  for (const v1::Job& job : jobs) ++by_state[job.state()];
  text.Family("muster_jobs", "gauge", "Jobs that have not ended, by state.");
  for (const auto& [state, count] : by_state) {
    text.Sample("state=\"" + StateWord(state) + "\"", count);
  }
  struct Series {
    const char* name;
    const char* type;
    const char* help;
    std::optional<double> (*value)(const v1::Job& job);
  };
  static constexpr auto kProgress = [](const v1::Job& job, double value) {
    return job.has_progress() ? std::optional<double>(value) : std::nullopt;
  };
  static const Series kSeries[] = {
      {"muster_job_step", "gauge", "Optimizer steps finished.",
       [](const v1::Job& j) { return kProgress(j, static_cast<double>(j.progress().step())); }},
      {"muster_job_target_steps", "gauge", "Optimizer steps wanted.",
       [](const v1::Job& j) {
         return kProgress(j, static_cast<double>(j.progress().target_steps()));
       }},
      {"muster_job_loss_nats", "gauge", "Training loss of the last step, nats per token.",
       [](const v1::Job& j) { return kProgress(j, j.progress().loss()); }},
      {"muster_job_tokens_per_second", "gauge", "Training speed of the whole job.",
       [](const v1::Job& j) { return kProgress(j, j.progress().tokens_per_second()); }},
      {"muster_job_step_seconds", "gauge", "Duration of the last step.",
       [](const v1::Job& j) { return kProgress(j, j.progress().step_seconds()); }},
      {"muster_job_goodput_ratio", "gauge", "Productive share of the slot-seconds.",
       [](const v1::Job& j) { return std::optional<double>(j.ledger().goodput()); }},
      {"muster_job_steps_recomputed", "gauge", "Steps that were lost in failures and done again.",
       [](const v1::Job& j) {
         return std::optional<double>(static_cast<double>(j.ledger().steps_recomputed()));
       }},
      {"muster_job_attempts", "gauge", "Attempts so far.",
       [](const v1::Job& j) { return std::optional<double>(j.attempts_size()); }},
      {"muster_job_last_recovery_seconds", "gauge",
       "From the last failure to the first step after it.", LastRecoverySeconds},
  };
  for (const Series& series : kSeries) {
    text.Family(series.name, series.type, series.help);
    for (const v1::Job& job : jobs) {
      const std::optional<double> value = series.value(job);
      // A job's name has no character that would need escaping.
      if (value) {
        text.Sample(fmt::format("job=\"{}\",name=\"{}\"", job.id(), job.spec().name()), *value);
      }
    }
  }
}

std::string KindLabel(v1::LedgerKind kind) {
  return "kind=\"" + Word(v1::LedgerKind_Name(kind), sizeof "LEDGER_KIND_" - 1) + "\"";
}

void WriteLedgers(const core::Cluster& cluster, const std::vector<v1::Job>& jobs, Text& text) {
  // A kind goes down when what counted as productive turns out to be lost: no counters.
  text.Family("muster_job_slot_seconds", "gauge", "Where the slot-seconds of a job went.");
  for (const v1::Job& job : jobs) {
    for (const v1::LedgerEntry& entry : job.ledger().entries()) {
      text.Sample(fmt::format("job=\"{}\",name=\"{}\",{}", job.id(), job.spec().name(),
                              KindLabel(entry.kind())),
                  entry.slot_seconds());
    }
  }
  const absl::StatusOr<v1::GetLedgerResponse> all = cluster.GetLedger({});
  if (!all.ok()) return;
  const v1::Ledger& ledger = all->ledger();
  text.Family("muster_slot_seconds", "gauge", "Where the slot-seconds of all jobs went.");
  for (const v1::LedgerEntry& entry : ledger.entries()) {
    text.Sample(KindLabel(entry.kind()), entry.slot_seconds());
  }
  text.Family("muster_goodput_ratio", "gauge", "Productive share of all slot-seconds.");
  text.Sample("", ledger.goodput());
  text.Family("muster_steps_recomputed", "gauge", "Steps of all jobs that were lost.");
  text.Sample("", ledger.steps_recomputed());
}

void WriteIncidents(const core::Cluster& cluster, Text& text) {
  const core::Cluster::IncidentCounts counts = cluster.CountIncidents();
  text.Family("muster_incidents", "gauge", "Incidents that are not over, by state.");
  text.Sample("state=\"open\"", counts.open - counts.waiting);
  text.Sample("state=\"waiting\"", counts.waiting);
  text.Family("muster_incidents_over_total", "counter", "Incidents that are over, by blame.");
  for (const auto& [blame, count] : counts.over_by_blame) {
    const std::string word = Word(v1::Blame_Name(blame), sizeof "BLAME_" - 1);
    text.Sample("blame=\"" + (word == "unspecified" ? "unknown" : word) + "\"", count);
  }
}

double Seconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

}  // namespace

void Metrics::SetGauges(Gauges gauges) { gauges_ = std::move(gauges); }

void Metrics::CountRecord(const v1::Record& record) {
  if (record.has_job_ended()) ++jobs_ended_[StateWord(record.job_ended().state())];
  if (record.has_checkpoint_committed()) ++checkpoints_committed_;
  if (record.has_node_died()) ++node_deaths_;
  if (record.has_attempt_ended()) {
    ++attempts_ended_[Word(v1::AttemptOutcome_Name(record.attempt_ended().outcome()),
                           sizeof "ATTEMPT_OUTCOME_" - 1)];
  }
}

void Metrics::CountAppend(size_t records, absl::Duration took) {
  const double seconds = absl::ToDoubleSeconds(took);
  const auto bucket = std::lower_bound(kBucketSeconds.begin(), kBucketSeconds.end(), seconds);
  ++append_buckets_[static_cast<size_t>(bucket - kBucketSeconds.begin())];
  records_ += records;
  append_ns_ += absl::ToInt64Nanoseconds(took);
}

void Metrics::CountStep(absl::Duration busy) {
  ++steps_;
  busy_ns_ += absl::ToInt64Nanoseconds(busy);
}

std::string Metrics::Text(const core::Cluster& cluster) const {
  class Text text;
  const v1::GetClusterResponse summary = cluster.GetCluster();
  text.Family("muster_epoch", "gauge", "Starts of the coordinator on this state.");
  text.Sample("", summary.epoch());
  text.Family("muster_revision", "gauge", "Durable records of this cluster.");
  text.Sample("", summary.revision());
  WriteNodes(cluster, text);
  text.Family("muster_node_deaths_total", "counter", "Times a node was declared dead.");
  text.Sample("", node_deaths_);
  text.Family("muster_slots", "gauge", "Device slots of ready, open nodes.");
  text.Sample("", summary.slots_total());
  text.Family("muster_slots_used", "gauge", "Device slots that ranks hold.");
  text.Sample("", summary.slots_used());
  const std::vector<v1::Job> active = ActiveJobs(cluster);
  WriteJobs(active, text);
  WriteLedgers(cluster, active, text);
  WriteIncidents(cluster, text);
  text.Family("muster_jobs_ended_total", "counter", "Jobs that ended, by final state.");
  for (const auto& [state, count] : jobs_ended_) text.Sample("state=\"" + state + "\"", count);
  text.Family("muster_attempts_ended_total", "counter", "Attempts that ended, by outcome.");
  for (const auto& [outcome, count] : attempts_ended_) {
    text.Sample("outcome=\"" + outcome + "\"", count);
  }
  text.Family("muster_checkpoints_committed_total", "counter", "Checkpoints committed.");
  text.Sample("", checkpoints_committed_);

  text.Family("muster_journal_records_total", "counter", "Records made durable by this process.");
  text.Sample("", records_.load());
  text.Family("muster_journal_append_seconds", "histogram", "From append to durable, per batch.");
  uint64_t cumulative = 0;
  for (size_t i = 0; i < kBucketSeconds.size(); ++i) {
    cumulative += append_buckets_[i];
    text.Sample(fmt::format("le=\"{}\"", kBucketSeconds[i]), cumulative, "_bucket");
  }
  cumulative += append_buckets_[kBucketSeconds.size()];
  text.Sample("le=\"+Inf\"", cumulative, "_bucket");
  text.Sample("", Seconds(append_ns_), "_sum");
  text.Sample("", cumulative, "_count");
  text.Family("muster_loop_rounds_total", "counter", "Rounds of the event loop.");
  text.Sample("", steps_.load());
  text.Family("muster_loop_busy_seconds_total", "counter", "Time the event loop was not waiting.");
  text.Sample("", Seconds(busy_ns_));
  const auto gauge = [&](const char* name, const char* help, const std::function<size_t()>& value) {
    if (!value) return;
    text.Family(name, "gauge", help);
    text.Sample("", value());
  };
  gauge("muster_mailbox_depth", "Inputs and questions that wait for the loop.",
        gauges_.mailbox_depth);
  gauge("muster_deliveries_waiting", "Outcomes that wait for the journal.",
        gauges_.deliveries_waiting);
  gauge("muster_sessions", "Open worker streams.", gauges_.sessions);
  gauge("muster_watchers", "Open watches of jobs and incidents.", gauges_.watchers);
  return text.Take();
}

}  // namespace muster::coordinator::daemon
