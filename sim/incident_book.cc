#include "sim/incident_book.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace muster::sim {
namespace {

bool IsFailure(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_RANK_FAILED || outcome == v1::ATTEMPT_OUTCOME_NODE_LOST;
}

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

double TotalSeconds(const v1::PhaseSeconds& in) {
  return in.detect() + in.decide() + in.stop() + in.replace() + in.start() + in.load() +
         in.recompute();
}

// Empty, or what is wrong with what the incident says about a job that is not yet well.
std::string WhyNotTrue(const v1::IncidentJob& part, const JournalView::JobFacts& job) {
  const std::string& waits = part.waiting_for();
  if (job.live_attempt != 0) {
    if (part.state() == v1::INCIDENT_STATE_OPEN && waits.empty()) return "";
    return fmt::format("attempt {} of it lives, and it is said to wait: \"{}\"", job.live_attempt,
                       waits);
  }
  if (part.state() != v1::INCIDENT_STATE_WAITING || waits.empty()) {
    return "no attempt of it lives, and it is not said what it waits for";
  }
  if (job.suspended != Has(waits, "waiting: suspended")) {
    return fmt::format("it is {}suspended, and said to wait so: \"{}\"",
                       job.suspended ? "" : "not ", waits);
  }
  if (!job.suspended && job.held != Has(waits, "waiting: on hold")) {
    return fmt::format("it is {}on hold, and said to wait so: \"{}\"", job.held ? "" : "not ",
                       waits);
  }
  return "";
}

}  // namespace

std::string IncidentBook::Take(const v1::Record& record) {
  if (record.has_attempt_stopping() && IsFailure(record.attempt_stopping().outcome())) {
    const v1::AttemptStopping& stopping = record.attempt_stopping();
    const auto [at, added] = open_.try_emplace(stopping.job_id(), stopping.incident());
    if (stopping.incident() == 0 || at->second != stopping.incident()) {
      return fmt::format(
          "incidents: attempt {} of job {} fails with incident {} while it is repaired after {}",
          stopping.attempt(), stopping.job_id(), stopping.incident(), added ? 0 : at->second);
    }
    failed_attempt_[stopping.job_id()] = stopping.attempt();
    hit_[stopping.incident()].insert(stopping.job_id());
    return "";
  }
  if (record.has_attempt_milestone() && record.attempt_milestone().caught_up()) {
    const v1::AttemptMilestone& reached = record.attempt_milestone();
    const auto open = open_.find(reached.job_id());
    if (open == open_.end()) return "";
    if (reached.attempt() <= failed_attempt_[reached.job_id()]) {
      return fmt::format("incidents: incident {} is repaired by attempt {} of job {}, which failed",
                         open->second, reached.attempt(), reached.job_id());
    }
    closed_.insert(open->second);
    open_.erase(open);
    return "";
  }
  if (record.has_job_ended()) {
    const auto open = open_.find(record.job_ended().job_id());
    if (open == open_.end()) return "";
    if (record.job_ended().state() == v1::JOB_STATE_FAILED) given_up_.insert(open->second);
    closed_.insert(open->second);
    open_.erase(open);
  }
  return "";
}

std::string IncidentBook::Check(const coordinator::core::Cluster& cluster,
                                const JournalView& view) {
  v1::ListIncidentsRequest request;
  request.set_page_size(1000);
  request.add_states(v1::INCIDENT_STATE_OPEN);
  request.add_states(v1::INCIDENT_STATE_WAITING);
  std::map<uint64_t, uint64_t> said;
  do {
    const auto page = cluster.ListIncidents(request);
    if (!page.ok()) return "incidents: they cannot be listed";
    for (const v1::Incident& incident : page->incidents()) {
      bool open = false;
      for (const v1::IncidentJob& part : incident.jobs()) {
        if (part.state() != v1::INCIDENT_STATE_OPEN && part.state() != v1::INCIDENT_STATE_WAITING) {
          continue;
        }
        open = true;
        said[part.job_id()] = incident.id();
        const JournalView::JobFacts* job = view.Job(part.job_id());
        if (job == nullptr || job->ended != 0) {
          return fmt::format("incidents: incident {} is open for job {}, which has ended",
                             incident.id(), part.job_id());
        }
        if (const std::string wrong = WhyNotTrue(part, *job); !wrong.empty()) {
          return fmt::format("incidents: incident {} of job {}: {}", incident.id(), part.job_id(),
                             wrong);
        }
      }
      if (!open) return fmt::format("incidents: incident {} is open for no job", incident.id());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  for (const auto& [job, incident] : open_) {
    const auto found = said.find(job);
    if (found != said.end() && found->second == incident) continue;
    return fmt::format("incidents: job {} is not yet well after incident {}, which is not open",
                       job, incident);
  }
  for (const auto& [job, incident] : said) {
    if (open_.count(job) > 0) continue;
    return fmt::format("incidents: incident {} is open for job {}, which is well again", incident,
                       job);
  }
  for (const uint64_t id : std::exchange(closed_, {})) {
    v1::GetIncidentRequest one;
    one.set_incident_id(id);
    const auto found = cluster.GetIncident(one);
    if (!found.ok()) return fmt::format("incidents: incident {} is forgotten", id);
    if (found->incident().end_unix_ms() == 0) continue;  // open for others
    if (std::string wrong = CheckOver(found->incident()); !wrong.empty()) return wrong;
  }
  return "";
}

std::string IncidentBook::CheckOver(const v1::Incident& incident) const {
  const uint64_t id = incident.id();
  const bool given_up = given_up_.count(id) > 0;
  if (incident.state() != (given_up ? v1::INCIDENT_STATE_FAILED : v1::INCIDENT_STATE_RESUMED)) {
    return fmt::format("incidents: incident {} ends as {}, and a job was {}given up for it", id,
                       v1::IncidentState_Name(incident.state()), given_up ? "" : "not ");
  }
  if (incident.cause().text().empty() || incident.blame_reason().empty() ||
      incident.evidence().empty() || incident.text().empty()) {
    return fmt::format("incidents: incident {} ends without a cause", id);
  }
  for (const v1::IncidentJob& part : incident.jobs()) {
    const auto& actions = part.actions();
    if (part.state() == v1::INCIDENT_STATE_FAILED &&
        (actions.empty() || actions.rbegin()->rung() != v1::RUNG_STOP ||
         actions.rbegin()->reason().empty())) {
      return fmt::format("incidents: job {} is given up in incident {}, and not said why",
                         part.job_id(), id);
    }
  }
  if (incident.jobs_size() != 1) return "";
  const double sum = TotalSeconds(incident.jobs(0).seconds());
  const double span = static_cast<double>(incident.end_unix_ms() - incident.time_unix_ms()) / 1e3;
  if (std::abs(sum - span) < 1e-3) return "";
  return fmt::format("incidents: the phases of incident {} are {:.3f} s together, it took {:.3f} s",
                     id, sum, span);
}

std::string IncidentBook::CheckAllOver(const coordinator::core::Cluster& cluster) const {
  size_t listed = 0;
  v1::ListIncidentsRequest request;
  request.set_page_size(1000);
  do {
    const auto page = cluster.ListIncidents(request);
    if (!page.ok()) return "incidents: they cannot be listed";
    for (const v1::Incident& one : page->incidents()) {
      ++listed;
      if (one.end_unix_ms() == 0) {
        return fmt::format("incidents: no job is left, and incident {} does not end: {}", one.id(),
                           one.text());
      }
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (listed == hit_.size()) return "";
  return fmt::format("incidents: {} are known of {} that there were", listed, hit_.size());
}

}  // namespace muster::sim
