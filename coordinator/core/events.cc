#include "coordinator/core/events.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/duration.h"
#include "coordinator/core/causes.h"
#include "coordinator/core/evidence.h"
#include "coordinator/core/incident_text.h"
#include "coordinator/core/resize.h"
#include "coordinator/core/state.h"

namespace muster::coordinator::core {
namespace {

std::string SpanText(int64_t from_ms, int64_t to_ms) {
  return DurationText(absl::Milliseconds(std::max<int64_t>(0, to_ms - from_ms)));
}

std::string SizeText(uint64_t bytes) {
  if (bytes < 1'000'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  if (bytes < 1'000'000'000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

std::string MeshText(const google::protobuf::RepeatedPtrField<v1::Axis>& mesh) {
  std::string axes;
  uint64_t ranks = 1;
  for (const v1::Axis& axis : mesh) {
    axes += fmt::format("{}{} {}", axes.empty() ? "" : " × ", axis.name(), axis.size());
    ranks *= std::max(1u, axis.size());
  }
  return fmt::format("{} rank{}{}", ranks, ranks == 1 ? "" : "s",
                     axes.empty() ? "" : " (" + axes + ")");
}

// When training stood still before this attempt: the failure of the one before.
int64_t DownSince(const Job& job, const Attempt& attempt) {
  const size_t before = attempt.facts.number() - 1;
  if (before == 0) return attempt.facts.start_unix_ms();
  const Attempt& last = job.attempts[before - 1];
  return last.stop_unix_ms > 0 ? last.stop_unix_ms : last.facts.end_unix_ms();
}

// "incident 7: ..." when this record ended the job's part of it; else empty.
std::string RepairedText(const ClusterState& state, const Job& job, const Attempt& attempt) {
  for (auto at = job.attempts.rbegin(); at != job.attempts.rend(); ++at) {
    const IncidentEntry* entry = state.incidents.Find(at->facts.incident());
    if (entry == nullptr) continue;
    const HitJob& hit = entry->jobs.at(job.id);
    const bool now = hit.view.next_attempt() == attempt.facts.number() &&
                     hit.view.resumed_unix_ms() == attempt.facts.caught_up_unix_ms();
    return now ? fmt::format("incident {}: {}", entry->facts.id(),
                             IncidentTextOf(state, *entry, hit))
               : "";
  }
  return "";
}

void Milestone(const ClusterState& state, const Job& job, const Attempt& attempt,
               const v1::Record& record, v1::JobEvent& event) {
  const v1::AttemptMilestone& reached = record.attempt_milestone();
  const std::string since_start = SpanText(attempt.facts.start_unix_ms(), record.time_unix_ms());
  if (reached.caught_up()) {
    const std::string text = RepairedText(state, job, attempt);
    if (text.empty()) return;
    event.set_kind(v1::EVENT_KIND_REPAIRED);
    event.set_text(text);
  } else if (!reached.first_step()) {
    event.set_kind(v1::EVENT_KIND_RUNNING);
    const bool again = attempt.facts.number() > 1 && job.TellsNoSteps();
    event.set_text(fmt::format("{}: {} up after {}", again ? "started again" : "running",
                               MeshText(MeshOf(job, attempt)), since_start));
  } else if (attempt.facts.number() == 1) {
    event.set_kind(v1::EVENT_KIND_FIRST_STEP);
    event.set_text(fmt::format("first step finished after {}", since_start));
  } else {
    const uint64_t again = StepsRecomputed(job, attempt);
    event.set_kind(v1::EVENT_KIND_RESUMED);
    event.set_text(fmt::format("resumed from step {}{} after {}: {} step{} recomputed",
                               reached.step(), reached.from_memory() ? " in memory" : "",
                               SpanText(DownSince(job, attempt), record.time_unix_ms()), again,
                               again == 1 ? "" : "s"));
  }
}

// A later record of the same failure tells only what is new: another cause.
void Stopping(const Attempt& attempt, const v1::AttemptStopping& stopping, v1::JobEvent& event) {
  const v1::FailureCause& cause = attempt.facts.cause();
  switch (attempt.facts.outcome()) {
    case v1::ATTEMPT_OUTCOME_RANK_FAILED:
    case v1::ATTEMPT_OUTCOME_NODE_LOST:
      event.set_kind(v1::EVENT_KIND_FAILURE);
      if (stopping.next().empty()) {
        event.clear_kind();
        return;
      }
      event.set_text(fmt::format("FAILED {} ({}); {}; incident {}", ShownCause(cause),
                                 BlameText(stopping.blame(), stopping.confidence()),
                                 stopping.next(), stopping.incident()));
      *event.mutable_cause() = cause;
      return;
    case v1::ATTEMPT_OUTCOME_DRAINED:
      event.set_kind(v1::EVENT_KIND_MOVING);
      event.set_text("moving: " + cause.text());
      return;
    case v1::ATTEMPT_OUTCOME_PREEMPTED:
    case v1::ATTEMPT_OUTCOME_SUSPENDED:
    case v1::ATTEMPT_OUTCOME_REQUEUED:
    case v1::ATTEMPT_OUTCOME_RESIZED:
    case v1::ATTEMPT_OUTCOME_TIME_LIMIT:
      event.set_kind(v1::EVENT_KIND_STOPPING);
      event.set_text("stopping: " + cause.text());
      return;
    case v1::ATTEMPT_OUTCOME_CANCELLED:  // told by JobCancelRequested
    case v1::ATTEMPT_OUTCOME_SUCCEEDED:
    case v1::ATTEMPT_OUTCOME_UNSPECIFIED:
    case v1::AttemptOutcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::AttemptOutcome_INT_MAX_SENTINEL_DO_NOT_USE_:
      return;
  }
}

// What a person changed about a job.
std::string ChangedText(const Job& job, const v1::Record& record) {
  const auto with = [](const std::string& text, const std::string& reason) {
    return reason.empty() ? text : text + ": " + reason;
  };
  if (record.has_job_held()) {
    return with(job.held ? "on hold" : "released", record.job_held().reason());
  }
  if (record.has_job_suspended()) {
    return with(job.suspended ? "suspended" : "resumed", record.job_suspended().reason());
  }
  if (record.has_job_requeued()) {
    return with("sent back to the queue", record.job_requeued().reason());
  }
  return "scaled to " + MeshText(job.spec.mesh());
}

bool ChangedByAPerson(const v1::Record& record) {
  return record.has_job_held() || record.has_job_suspended() || record.has_job_requeued() ||
         record.has_job_scaled();
}

std::string ProgressText(const v1::Progress& progress) {
  if (progress.phase() == v1::PHASE_INIT) return "starting";
  if (progress.phase() == v1::PHASE_LOAD) return "loading";
  std::string text = fmt::format("step {}", progress.step());
  if (progress.target_steps() > 0) text += fmt::format("/{}", progress.target_steps());
  if (progress.phase() == v1::PHASE_SAVE) text += " saving";
  if (progress.phase() == v1::PHASE_EVAL) text += " evaluating";
  return text +
         fmt::format(" loss {:.4f} {:.0f} tokens/s", progress.loss(), progress.tokens_per_second());
}

v1::JobEvent Base(const ClusterState& state, const Job& job, int64_t time_unix_ms) {
  v1::JobEvent event;
  event.set_revision(state.revision);
  event.set_time_unix_ms(time_unix_ms);
  event.set_job_id(job.id.value());
  event.set_state(job.State());
  event.set_attempt(job.attempts.size());
  return event;
}

std::string SaveTroubleText(const v1::SaveTroubleSet& set, int64_t now_ms) {
  if (!set.over()) return set.trouble().text();
  const std::string span = SpanText(set.trouble().since_unix_ms(), now_ms);
  switch (set.trouble().kind()) {
    case v1::SAVE_TROUBLE_KIND_NO_SLOTS:
      return fmt::format("RAM slots are there, after {}", span);
    case v1::SAVE_TROUBLE_KIND_NO_COPY:
      return fmt::format("saves run beside training again, after {}", span);
    case v1::SAVE_TROUBLE_KIND_STORAGE:
    case v1::SAVE_TROUBLE_KIND_UNSPECIFIED:
    case v1::SaveTroubleKind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::SaveTroubleKind_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return fmt::format("saves reach storage again, after {}", span);
}

uint64_t JobOf(const v1::Record& record) {
  switch (record.record_case()) {
    case v1::Record::kJobSubmitted:
      return record.job_submitted().job_id();
    case v1::Record::kJobCancelRequested:
      return record.job_cancel_requested().job_id();
    case v1::Record::kAttemptStarted:
      return record.attempt_started().job_id();
    case v1::Record::kAttemptStopping:
      return record.attempt_stopping().job_id();
    case v1::Record::kAttemptEnded:
      return record.attempt_ended().job_id();
    case v1::Record::kAttemptMilestone:
      return record.attempt_milestone().job_id();
    case v1::Record::kJobEnded:
      return record.job_ended().job_id();
    case v1::Record::kCheckpointCommitted:
      return record.checkpoint_committed().job_id();
    case v1::Record::kCheckpointMarkedBad:
      return record.checkpoint_marked_bad().job_id();
    case v1::Record::kSaveTroubleSet:
      return record.save_trouble_set().job_id();
    case v1::Record::kJobHeld:
      return record.job_held().job_id();
    case v1::Record::kJobSuspended:
      return record.job_suspended().job_id();
    case v1::Record::kJobRequeued:
      return record.job_requeued().job_id();
    case v1::Record::kJobSaveAsked:
      return record.job_save_asked().job_id();
    case v1::Record::kJobScaled:
      return record.job_scaled().job_id();
    case v1::Record::kQueueSet:
    case v1::Record::kCommitPermitted:
    case v1::Record::kCheckpointForgotten:
    case v1::Record::kIncidentAcknowledged:
    case v1::Record::kNodeQuarantineSet:
    case v1::Record::kNodeTested:
    case v1::Record::kClusterCreated:
    case v1::Record::kEpochStarted:
    case v1::Record::kNodeJoined:
    case v1::Record::kNodeDied:
    case v1::Record::kNodeAdmissionSet:
    case v1::Record::RECORD_NOT_SET:
      break;
  }
  return 0;
}

}  // namespace

void EventRing::Push(v1::JobEvent event) {
  events_.push_back(std::move(event));
  while (events_.size() > kept_) {
    forgotten_ = events_.front().revision();
    events_.pop_front();
  }
}

absl::StatusOr<std::vector<v1::JobEvent>> EventRing::After(uint64_t revision, JobId job) const {
  if (revision < forgotten_) {
    return absl::OutOfRangeError(fmt::format(
        "events after revision {} are asked for, those up to {} are forgotten; list again and "
        "watch from the revision the list returns",
        revision, forgotten_));
  }
  std::vector<v1::JobEvent> found;
  auto at = std::upper_bound(
      events_.begin(), events_.end(), revision,
      [](uint64_t wanted, const v1::JobEvent& event) { return wanted < event.revision(); });
  for (; at != events_.end(); ++at) {
    if (job.value() == 0 || at->job_id() == job.value()) found.push_back(*at);
  }
  return found;
}

uint64_t StepsRecomputed(const Job& job, const Attempt& attempt) {
  uint64_t done = 0;
  for (const Attempt& before : job.attempts) {
    if (before.facts.number() >= attempt.facts.number()) break;
    done = std::max(done, before.facts.last_step());
  }
  return done > attempt.facts.first_step() ? done - attempt.facts.first_step() : 0;
}

std::optional<v1::JobEvent> EventOf(const ClusterState& state, const v1::Record& record) {
  const Job* job = state.jobs.Find(JobId(JobOf(record)));
  if (job == nullptr) return std::nullopt;
  v1::JobEvent event = Base(state, *job, record.time_unix_ms());
  if (record.has_job_submitted()) {
    event.set_kind(v1::EVENT_KIND_SUBMITTED);
    event.set_text(fmt::format("submitted{}: {}, {}", job->user.empty() ? "" : " by " + job->user,
                               job->spec.name(), MeshText(job->spec.mesh())));
  } else if (record.has_job_cancel_requested()) {
    event.set_kind(v1::EVENT_KIND_CANCELLING);
    event.set_text(job->cancel_reason.empty() ? "cancelling" : "cancelling: " + job->cancel_reason);
  } else if (ChangedByAPerson(record)) {
    if (job->revision != state.revision) return std::nullopt;  // it was so already
    event.set_kind(v1::EVENT_KIND_CHANGED);
    event.set_text(ChangedText(*job, record));
  } else if (record.has_job_save_asked()) {
    const v1::JobSaveAsked& asked = record.job_save_asked();
    event.set_kind(v1::EVENT_KIND_SAVE_ASKED);
    event.set_text(fmt::format("save asked{}{}{}", asked.user().empty() ? "" : " by ", asked.user(),
                               asked.reason().empty() ? "" : ": " + asked.reason()));
  } else if (record.has_job_ended()) {
    event.set_kind(v1::EVENT_KIND_ENDED);
    event.set_text(v1::JobState_Name(job->end_state).substr(10) + ": " + job->end_reason);
  } else if (record.has_checkpoint_committed()) {
    const v1::CheckpointRef& ref = record.checkpoint_committed().checkpoint();
    event.set_kind(v1::EVENT_KIND_CHECKPOINT);
    event.set_attempt(ref.attempt());
    event.set_text(
        fmt::format("checkpoint at step {} committed ({})", ref.step(), SizeText(ref.bytes())));
    *event.mutable_checkpoint() = ref;
  } else if (record.has_checkpoint_marked_bad()) {
    const v1::CheckpointMarkedBad& marked = record.checkpoint_marked_bad();
    event.set_kind(v1::EVENT_KIND_CHECKPOINT);
    event.set_text(
        fmt::format("checkpoint at step {} marked bad: {}", marked.step(), marked.reason()));
  } else if (record.has_save_trouble_set()) {
    event.set_kind(v1::EVENT_KIND_SAVING);
    event.set_text(SaveTroubleText(record.save_trouble_set(), record.time_unix_ms()));
  } else if (!job->attempts.empty()) {
    const Attempt& attempt = job->attempts.back();
    if (record.has_attempt_started()) {
      event.set_kind(v1::EVENT_KIND_PLACED);
      event.set_text("placed: " + attempt.facts.reason());
    } else if (record.has_attempt_stopping()) {
      Stopping(attempt, record.attempt_stopping(), event);
    } else if (record.has_attempt_milestone()) {
      Milestone(state, *job, attempt, record, event);
    } else if (record.has_attempt_ended()) {
      event.set_kind(v1::EVENT_KIND_ATTEMPT_ENDED);
      event.set_text(fmt::format("attempt {} ended: {}, last step {}", attempt.facts.number(),
                                 OutcomeText(attempt.facts.outcome()), attempt.facts.last_step()));
    }
  }
  if (event.kind() == v1::EVENT_KIND_UNSPECIFIED) return std::nullopt;
  return event;
}

v1::JobEvent ProgressEvent(const ClusterState& state, const Job& job, const Attempt& attempt) {
  v1::JobEvent event = Base(state, job, absl::ToUnixMillis(state.now));
  const v1::Progress& progress = attempt.progress;
  event.set_kind(v1::EVENT_KIND_PROGRESS);
  event.set_text(ProgressText(progress));
  *event.mutable_progress() = progress;
  return event;
}

v1::JobEvent WaitingEvent(const ClusterState& state, const Job& job, const std::string& reason) {
  v1::JobEvent event = Base(state, job, absl::ToUnixMillis(state.now));
  event.set_kind(v1::EVENT_KIND_WAITING);
  event.set_text(reason);
  return event;
}

}  // namespace muster::coordinator::core
