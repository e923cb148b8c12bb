#include "tests/scenarios/trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "common/check.h"
#include "common/duration.h"

namespace muster::scenarios {
namespace {

using coordinator::core::CloseSession;
using coordinator::core::Outcome;
using coordinator::core::Reply;
using coordinator::core::SendToWorker;

// The name of an enum value without its prefix.
std::string Bare(const std::string& name, const std::string& prefix) {
  return name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size()) : name;
}

std::string Outcome_(v1::AttemptOutcome outcome) {
  return Bare(v1::AttemptOutcome_Name(outcome), "ATTEMPT_OUTCOME_");
}

std::string Quoted(const std::string& text) { return text.empty() ? "" : " \"" + text + "\""; }

std::string QuarantineWord(v1::Quarantine quarantine) {
  return Bare(v1::Quarantine_Name(quarantine), "QUARANTINE_");
}

template <typename Message>
std::string Key(const Message& message) {
  return fmt::format("{}.{}", message.job_id(), message.attempt());
}

// "0-3"
std::string RanksText(const v1::NodeShare& share) {
  const uint32_t last = share.first_rank() + share.ranks() - 1;
  return share.ranks() == 1 ? fmt::format("{}", last)
                            : fmt::format("{}-{}", share.first_rank(), last);
}

template <typename Shares>
std::string Placed(const Shares& shares) {
  std::map<std::string, std::string> by_node;
  for (const v1::NodeShare& share : shares) by_node[share.node()] = RanksText(share);
  std::string text;
  for (const auto& [node, held] : by_node) text += fmt::format(" {}[{}]", node, held);
  return text;
}

// Of an attempt that has less than the job's: " mesh=data:2,tensor:2"
template <typename Axes>
std::string MeshOf(const Axes& mesh) {
  std::string text;
  for (const v1::Axis& axis : mesh) {
    text += fmt::format("{}{}:{}", text.empty() ? " mesh=" : ",", axis.name(), axis.size());
  }
  return text;
}

std::string RungOf(v1::Rung rung) {
  return rung == v1::RUNG_UNSPECIFIED ? "" : " " + Bare(v1::Rung_Name(rung), "RUNG_");
}

std::string QueueText(const v1::QueueSpec& spec) {
  std::string text = fmt::format("{} priority={} weight={} quota={}", spec.name(), spec.priority(),
                                 spec.weight(), spec.quota());
  if (spec.has_limit()) text += fmt::format(" limit={}", spec.limit());
  if (spec.has_user_limit()) text += fmt::format(" user_limit={}", spec.user_limit());
  return text + (spec.paused() ? " paused" + Quoted(spec.paused_reason()) : "");
}

// The evidence behind the root, a line each: only a cascade has more than one.
std::string EvidenceLines(const google::protobuf::RepeatedPtrField<v1::Evidence>& all) {
  std::string text;
  for (int i = 0; all.size() > 1 && i < all.size(); ++i) {
    std::string role = Bare(v1::EvidenceRole_Name(all[i].role()), "EVIDENCE_ROLE_");
    for (char& letter : role) letter = static_cast<char>(std::tolower(letter));
    text += fmt::format("\n  {}{}", role, Quoted(all[i].text()));
  }
  return text;
}

std::string StoppingText(const v1::AttemptStopping& stopping) {
  std::string text = "AttemptStopping " + Key(stopping) + " " + Outcome_(stopping.outcome()) +
                     Quoted(stopping.cause().text());
  text += RungOf(stopping.rung()) + (stopping.grows() ? " grows" : "");
  if (stopping.incident() == 0) return text;
  text += fmt::format(" incident={} {} {:.2f}", stopping.incident(),
                      Bare(v1::Blame_Name(stopping.blame()), "BLAME_"), stopping.confidence());
  return text + EvidenceLines(stopping.evidence());
}

std::string EndedText(const v1::AttemptEnded& ended) {
  return fmt::format("AttemptEnded {} {} steps={}-{}{}{}", Key(ended), Outcome_(ended.outcome()),
                     ended.first_step(), ended.last_step(), ended.from_memory() ? " memory" : "",
                     ended.memory_suspect() ? " memory_suspect" : "");
}

std::string RecordLine(const v1::Record& record) {
  switch (record.record_case()) {
    case v1::Record::kClusterCreated:
      return "ClusterCreated " + record.cluster_created().cluster_id();
    case v1::Record::kEpochStarted:
      return fmt::format("EpochStarted {}", record.epoch_started().epoch());
    case v1::Record::kNodeJoined:
      return fmt::format("NodeJoined {} incarnation={} slots={}", record.node_joined().node(),
                         record.node_joined().incarnation(), record.node_joined().slots());
    case v1::Record::kNodeDied:
      return "NodeDied " + record.node_died().node() + Quoted(record.node_died().reason());
    case v1::Record::kNodeAdmissionSet: {
      const auto& set = record.node_admission_set();
      return "NodeAdmissionSet " + set.node() + " " +
             Bare(v1::NodeAdmission_Name(set.admission()), "NODE_ADMISSION_") +
             Quoted(set.reason());
    }
    case v1::Record::kJobSubmitted: {
      const auto& submitted = record.job_submitted();
      std::string text = fmt::format("JobSubmitted {} uid={}", submitted.job_id(), submitted.uid());
      if (submitted.array_id() > 0) {
        text += fmt::format(" array={}[{}]", submitted.array_id(), submitted.array_index());
      }
      return text;
    }
    case v1::Record::kJobCancelRequested:
      return fmt::format("JobCancelRequested {}{}", record.job_cancel_requested().job_id(),
                         Quoted(record.job_cancel_requested().reason()));
    case v1::Record::kQueueSet:
      return "QueueSet " + QueueText(record.queue_set().queue());
    case v1::Record::kJobHeld:
      return fmt::format("JobHeld {} {}{}", record.job_held().job_id(),
                         record.job_held().held() ? "held" : "released",
                         Quoted(record.job_held().reason()));
    case v1::Record::kJobSuspended:
      return fmt::format("JobSuspended {} {}{}", record.job_suspended().job_id(),
                         record.job_suspended().suspended() ? "suspended" : "resumed",
                         Quoted(record.job_suspended().reason()));
    case v1::Record::kJobRequeued:
      return fmt::format("JobRequeued {}{}", record.job_requeued().job_id(),
                         Quoted(record.job_requeued().reason()));
    case v1::Record::kJobSaveAsked: {
      const v1::JobSaveAsked& asked = record.job_save_asked();
      return fmt::format("JobSaveAsked {} step={} by={}{}", Key(asked), asked.step(), asked.user(),
                         Quoted(asked.reason()));
    }
    case v1::Record::kJobScaled: {
      std::string text = fmt::format("JobScaled {}", record.job_scaled().job_id());
      for (const v1::Axis& axis : record.job_scaled().mesh()) {
        text += fmt::format(" {}:{}", axis.name(), axis.size());
      }
      return text;
    }
    case v1::Record::kAttemptStarted:
      return "AttemptStarted " + Key(record.attempt_started()) +
             Placed(record.attempt_started().shares()) + MeshOf(record.attempt_started().mesh()) +
             RungOf(record.attempt_started().rung());
    case v1::Record::kAttemptStopping:
      return StoppingText(record.attempt_stopping());
    case v1::Record::kAttemptEnded:
      return EndedText(record.attempt_ended());
    case v1::Record::kAttemptMilestone:
      return fmt::format(
          "AttemptMilestone {} {}", Key(record.attempt_milestone()),
          record.attempt_milestone().caught_up() ? "caught up"
          : record.attempt_milestone().first_step()
              ? fmt::format("first step after {}{}", record.attempt_milestone().step(),
                            record.attempt_milestone().from_memory() ? " in memory" : "")
              : "all running");
    case v1::Record::kJobEnded:
      return fmt::format("JobEnded {} {}{}", record.job_ended().job_id(),
                         Bare(v1::JobState_Name(record.job_ended().state()), "JOB_STATE_"),
                         Quoted(record.job_ended().reason()));
    case v1::Record::kCommitPermitted:
      return fmt::format("CommitPermitted {} step={}", Key(record.commit_permitted()),
                         record.commit_permitted().checkpoint().step());
    case v1::Record::kCheckpointCommitted:
      return fmt::format("CheckpointCommitted {} step={}", Key(record.checkpoint_committed()),
                         record.checkpoint_committed().checkpoint().step());
    case v1::Record::kCheckpointForgotten: {
      std::string text =
          fmt::format("CheckpointForgotten {}", record.checkpoint_forgotten().job_id());
      for (const auto& ref : record.checkpoint_forgotten().checkpoints()) {
        text += fmt::format(" {}.a{}", ref.step(), ref.attempt());
      }
      return text;
    }
    case v1::Record::kCheckpointMarkedBad: {
      const auto& marked = record.checkpoint_marked_bad();
      return fmt::format("CheckpointMarkedBad {}.{} step={}{}", marked.job_id(), marked.attempt(),
                         marked.step(), Quoted(marked.reason()));
    }
    case v1::Record::kSaveTroubleSet: {
      const v1::SaveTroubleSet& set = record.save_trouble_set();
      return fmt::format("SaveTroubleSet {} {}{}{}", Key(set),
                         Bare(v1::SaveTroubleKind_Name(set.trouble().kind()), "SAVE_TROUBLE_KIND_"),
                         set.over() ? " over" : "", Quoted(set.trouble().text()));
    }
    case v1::Record::kIncidentAcknowledged:
      return fmt::format(
          "IncidentAcknowledged {} by={}{}", record.incident_acknowledged().incident(),
          record.incident_acknowledged().user(), Quoted(record.incident_acknowledged().note()));
    case v1::Record::kNodeQuarantineSet: {
      const v1::NodeQuarantineSet& set = record.node_quarantine_set();
      const std::string span =
          set.until_unix_ms() == 0
              ? ""
              : " for " +
                    DurationText(absl::Milliseconds(set.until_unix_ms() - record.time_unix_ms()));
      return fmt::format("NodeQuarantineSet {} {}{}{}{}", set.node(),
                         QuarantineWord(set.quarantine()), span,
                         set.by_person() ? " by a person" : "", Quoted(set.reason()));
    }
    case v1::Record::kNodeTested:
      return fmt::format(
          "NodeTested {} test={} {}{}", record.node_tested().node(), record.node_tested().test(),
          record.node_tested().passed() ? "passed" : "failed", Quoted(record.node_tested().text()));
    case v1::Record::RECORD_NOT_SET:
      break;
  }
  return "nothing";
}

std::string SendLine(const v1::CoordinatorMessage& message, const std::string& node) {
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kWelcome:
      return "Welcome";
    case v1::CoordinatorMessage::kStart: {
      const v1::StartRanks& start = message.start();
      CHECK(start.share().node() == node, "{} is sent the share of {}", node, start.share().node());
      v1::GangOrder gang;
      CHECK(gang.ParseFromString(start.gang()), "{} is sent a gang that cannot be read", node);
      std::string resume;
      for (const auto& ref : gang.resume()) {
        resume +=
            fmt::format("{}{}.a{}", resume.empty() ? " resume=" : ",", ref.step(), ref.attempt());
      }
      // The oldest attempt whose slots count; the first one's always do.
      const std::string floor =
          gang.slots_since() > 1 ? fmt::format(" slots_since=a{}", gang.slots_since()) : "";
      return fmt::format("StartRanks {} ranks={}{}{}", Key(start), RanksText(start.share()), resume,
                         floor);
    }
    case v1::CoordinatorMessage::kStop:
      return fmt::format("StopRanks {} grace={}ms{}", Key(message.stop()),
                         message.stop().grace_ms(), Quoted(message.stop().reason()));
    case v1::CoordinatorMessage::kRelease:
      return "ReleaseAttempt " + Key(message.release());
    case v1::CoordinatorMessage::kCommitReply:
      return fmt::format("CommitReply {} step={} {}{}", Key(message.commit_reply()),
                         message.commit_reply().step(),
                         message.commit_reply().permitted() ? "yes" : "no",
                         Quoted(message.commit_reply().reason()));
    case v1::CoordinatorMessage::kCommitAck:
      return fmt::format("CommitAck {} step={}", Key(message.commit_ack()),
                         message.commit_ack().step());
    case v1::CoordinatorMessage::kTest:
      return fmt::format("TestNode {}", message.test().test());
    case v1::CoordinatorMessage::kTestAck:
      return fmt::format("TestAck {}", message.test_ack().test());
    case v1::CoordinatorMessage::kSave:
      return fmt::format("SaveNow {} save={}", Key(message.save()), message.save().save());
    case v1::CoordinatorMessage::kDropVault:
      return fmt::format("DropVault {}", fmt::join(message.drop_vault().job_uids(), " "));
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      break;
  }
  return "nothing";
}

std::string StatusText(const absl::Status& status) {
  return absl::StatusCodeToString(status.code()) + Quoted(std::string(status.message()));
}

std::string ReplyLine(const Reply& reply) {
  if (!reply.status.ok()) return StatusText(reply.status);
  if (const auto* submitted = std::get_if<v1::SubmitJobResponse>(&reply.response)) {
    const std::string array =
        submitted->array_jobs() > 0 ? fmt::format(" of {}", submitted->array_jobs()) : "";
    return "OK " + JobLine(submitted->job()) + array;
  }
  if (const auto* cancelled = std::get_if<v1::CancelJobResponse>(&reply.response)) {
    return "OK " + JobLine(cancelled->job());
  }
  if (const auto* controlled = std::get_if<v1::ControlJobResponse>(&reply.response)) {
    return "OK " + JobLine(controlled->job());
  }
  if (const auto* scaled = std::get_if<v1::ScaleJobResponse>(&reply.response)) {
    return "OK " + JobLine(scaled->job());
  }
  if (const auto* set = std::get_if<v1::SetQueueResponse>(&reply.response)) {
    return "OK " + QueueLine(set->queue());
  }
  if (const auto* paused = std::get_if<v1::PauseQueueResponse>(&reply.response)) {
    return "OK " + QueueLine(paused->queue());
  }
  if (const auto* acked = std::get_if<v1::AckIncidentResponse>(&reply.response)) {
    return "OK " + IncidentLine(acked->incident());
  }
  if (const auto* quarantined = std::get_if<v1::SetNodeQuarantineResponse>(&reply.response)) {
    return "OK " + NodeLine(quarantined->node());
  }
  if (const auto* tested = std::get_if<v1::TestNodeResponse>(&reply.response)) {
    return fmt::format("OK test {} of {}", tested->test(), NodeLine(tested->node()));
  }
  return "OK " + NodeLine(std::get<v1::SetNodeAdmissionResponse>(reply.response).node());
}

}  // namespace

std::string JobLine(const v1::Job& job) {
  return fmt::format("job {} {}{}", job.id(), Bare(v1::JobState_Name(job.state()), "JOB_STATE_"),
                     Quoted(job.reason()));
}

std::string IncidentLine(const v1::Incident& incident) {
  std::string text = fmt::format("incident {} {}{}", incident.id(),
                                 Bare(v1::IncidentState_Name(incident.state()), "INCIDENT_STATE_"),
                                 Quoted(incident.text()));
  if (incident.acknowledged()) {
    text += fmt::format(" acked by {}{}", incident.acknowledged_by(), Quoted(incident.note()));
  }
  return text;
}

std::string IncidentLines(const v1::Incident& incident) {
  std::string text = IncidentLine(incident) + "\n";
  if (!incident.domain().empty()) text += "  domain " + incident.domain() + "\n";
  text += "  nodes";
  for (const std::string& node : incident.nodes()) text += " " + node;
  text += fmt::format("\n  blame {} {:.2f}{}{}\n", Bare(v1::Blame_Name(incident.blame()), "BLAME_"),
                      incident.confidence(), Quoted(incident.blame_reason()),
                      EvidenceLines(incident.evidence()));
  for (const v1::IncidentJob& job : incident.jobs()) {
    const v1::PhaseSeconds& in = job.seconds();
    text += fmt::format(
        "  job {} attempt {} -> {} {}: detect {:.1f} decide {:.1f} stop {:.1f} replace {:.1f} "
        "start {:.1f} load {:.1f} recompute {:.1f}; {} steps lost{}\n",
        job.job_id(), job.attempt(), job.next_attempt(),
        Bare(v1::IncidentState_Name(job.state()), "INCIDENT_STATE_"), in.detect(), in.decide(),
        in.stop(), in.replace(), in.start(), in.load(), in.recompute(), job.steps_lost(),
        Quoted(job.waiting_for()));
    for (const v1::IncidentAction& action : job.actions()) {
      text += fmt::format("    {} attempt {}{}\n", Bare(v1::Rung_Name(action.rung()), "RUNG_"),
                          action.attempt(), Quoted(action.reason()));
    }
  }
  return text + fmt::format("  lost {:.1f} slot seconds\n", incident.slot_seconds_lost());
}

std::string NodeLine(const v1::Node& node) {
  std::string jobs;
  for (const uint64_t job : node.jobs()) jobs += fmt::format("{}{}", jobs.empty() ? "" : ",", job);
  return fmt::format("node {} {} {} used={}/{} jobs=[{}]{}", node.name(),
                     Bare(v1::NodeState_Name(node.state()), "NODE_STATE_"),
                     Bare(v1::NodeAdmission_Name(node.admission()), "NODE_ADMISSION_"),
                     node.slots_used(), node.slots(), jobs, Quoted(node.reason()));
}

std::string NodeStory(const v1::GetNodeResponse& response) {
  const v1::Node& node = response.node();
  std::string text =
      fmt::format("node {} {}{} score={:.2f}\n", node.name(), QuarantineWord(node.quarantine()),
                  Quoted(node.quarantine_reason()), node.failure_score());
  for (const v1::NodeFault& fault : response.faults()) {
    text += fmt::format("  fault weight={:.2f} counts={:.2f} \"{}\"{}\n", fault.weight(),
                        fault.counts(), fault.text(),
                        fault.taken_back().empty() ? "" : " taken back: " + fault.taken_back());
  }
  return text;
}

std::string QueueLine(const v1::Queue& queue) {
  return fmt::format(
      "queue {}; used={} borrowed={} hours={:.3f} share={:.3f} waiting={} active={}{}",
      QueueText(queue.spec()), queue.slots_used(), queue.slots_borrowed(), queue.usage_slot_hours(),
      queue.share(), queue.jobs_waiting(), queue.jobs_active(), Quoted(queue.head_reason()));
}

std::string LedgerLine(const v1::Ledger& ledger) {
  std::string kinds;
  for (const v1::LedgerEntry& entry : ledger.entries()) {
    if (entry.wall_seconds() <= 0 && entry.slot_seconds() <= 0) continue;
    std::string word = Bare(v1::LedgerKind_Name(entry.kind()), "LEDGER_KIND_");
    for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    kinds += fmt::format("{}{} {:.1f}", kinds.empty() ? " = " : " + ", word, entry.wall_seconds());
  }
  return fmt::format("wall {:.1f}{}; slots {:.1f}; {} steps recomputed", ledger.wall_seconds(),
                     kinds, ledger.slot_seconds(), ledger.steps_recomputed());
}

std::string EventLine(const v1::JobEvent& event) {
  return fmt::format("event {} {}{}", event.job_id(),
                     Bare(v1::EventKind_Name(event.kind()), "EVENT_KIND_"), Quoted(event.text()));
}

std::string Trace(const Outcome& outcome, const std::map<SessionId, std::string>& names) {
  std::string text;
  for (const v1::Record& record : outcome.records) text += "record " + RecordLine(record) + "\n";
  for (const auto& command : outcome.commands) {
    if (const auto* send = std::get_if<SendToWorker>(&command)) {
      const std::string& node = names.at(send->session);
      text += fmt::format("send {} {}\n", node, SendLine(send->message, node));
    } else {
      const auto& close = std::get<CloseSession>(command);
      text += fmt::format("close {} {}\n", names.at(close.session), StatusText(close.status));
    }
  }
  for (const Reply& reply : outcome.replies) text += "reply " + ReplyLine(reply) + "\n";
  for (const v1::JobEvent& event : outcome.events) text += EventLine(event) + "\n";
  return text;
}

namespace {

std::string SharesText(const google::protobuf::RepeatedPtrField<v1::NodeShare>& shares) {
  std::string text;
  for (const v1::NodeShare& share : shares) {
    text += fmt::format(" {}[{}-{}]", share.node(), share.first_rank(),
                        share.first_rank() + share.ranks() - 1);
  }
  return text;
}

std::string InText(int64_t unix_ms, absl::Time now) {
  return DurationText(std::max(absl::ZeroDuration(), absl::FromUnixMillis(unix_ms) - now));
}

}  // namespace

std::string PlanLine(const v1::PlanJobResponse& plan, absl::Time now) {
  std::string text = fmt::format("{} \"{}\"", plan.fits_now() ? "fits" : "waits", plan.reason());
  if (!plan.fits_now() && plan.start_unix_ms() > 0) {
    text += fmt::format(" starts in {} on{}", InText(plan.start_unix_ms(), now),
                        SharesText(plan.shares()));
  }
  for (const std::string& spare : plan.spares()) text += " spare=" + spare;
  for (const uint64_t victim : plan.preempts()) text += fmt::format(" preempts={}", victim);
  for (const std::string& line : plan.unblock()) text += "\n  unblock: " + line;
  return text;
}

std::string WaitLines(const v1::Job& job, absl::Time now) {
  std::string text = JobLine(job) + "\n";
  if (job.start_estimate_unix_ms() > 0) {
    text += fmt::format("  starts in {}\n", InText(job.start_estimate_unix_ms(), now));
  }
  for (const std::string& line : job.unblock()) text += "  unblock: " + line + "\n";
  return text;
}

}  // namespace muster::scenarios
