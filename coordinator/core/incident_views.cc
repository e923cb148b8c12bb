// What people ask about incidents.
#include <algorithm>
#include <charconv>
#include <limits>

#include "common/status.h"
#include "coordinator/core/cluster.h"
#include "coordinator/core/incident_text.h"
#include "coordinator/core/incidents.h"

namespace muster::coordinator::core {
namespace {

constexpr uint32_t kPageDefault = 100;
constexpr uint32_t kPageMax = 1000;
constexpr int kEvidenceMax = 64;

int64_t NowMs(const ClusterState& state) {
  return std::max(absl::ToUnixMillis(state.now), state.record_unix_ms);
}

v1::IncidentState StateOf(const ClusterState& state, const IncidentEntry& entry) {
  bool failed = false, open = false, all_wait = true;
  for (const auto& [id, hit] : entry.jobs) {
    if (hit.view.state() == v1::INCIDENT_STATE_FAILED) failed = true;
    if (hit.phase == RepairPhase::kOver) continue;
    open = true;
    all_wait = all_wait && !WaitsFor(state, hit).empty();
  }
  if (open) return all_wait ? v1::INCIDENT_STATE_WAITING : v1::INCIDENT_STATE_OPEN;
  return failed ? v1::INCIDENT_STATE_FAILED : v1::INCIDENT_STATE_RESUMED;
}

v1::IncidentJob JobPart(const ClusterState& state, const HitJob& hit) {
  if (hit.phase == RepairPhase::kOver) return hit.view;
  HitJob so_far = hit;
  MoveOn(so_far, RepairPhase::kOver, NowMs(state));
  const std::string waits = WaitsFor(state, hit);
  so_far.view.set_waiting_for(waits);
  so_far.view.set_state(waits.empty() ? v1::INCIDENT_STATE_OPEN : v1::INCIDENT_STATE_WAITING);
  return so_far.view;
}

bool Wanted(const v1::ListIncidentsRequest& request, const IncidentEntry& entry,
            v1::IncidentState state) {
  const v1::Incident& facts = entry.facts;
  if (request.job_id() != 0 && entry.jobs.count(JobId(request.job_id())) == 0) return false;
  if (!request.node().empty() && std::find(facts.nodes().begin(), facts.nodes().end(),
                                           request.node()) == facts.nodes().end()) {
    return false;
  }
  if (facts.time_unix_ms() < request.since_unix_ms()) return false;
  if (request.unacknowledged() && facts.acknowledged()) return false;
  return request.states().empty() || std::find(request.states().begin(), request.states().end(),
                                               state) != request.states().end();
}

}  // namespace

v1::Incident IncidentView(const ClusterState& state, const IncidentEntry& entry, bool full) {
  v1::Incident view = entry.facts;
  entry.FillEvidence(kEvidenceMax, &view);
  if (!full) view.clear_evidence();
  view.set_state(StateOf(state, entry));
  view.set_text(IncidentText(state, entry));
  double lost = 0;
  for (const auto& [id, hit] : entry.jobs) {
    *view.add_jobs() = JobPart(state, hit);
    const v1::IncidentJob& part = *view.jobs().rbegin();
    lost += static_cast<double>(part.slots()) * TotalSeconds(part.seconds());
  }
  view.set_slot_seconds_lost(lost);
  return view;
}

absl::StatusOr<v1::ListIncidentsResponse> Cluster::ListIncidents(
    const v1::ListIncidentsRequest& request) const {
  uint64_t before = std::numeric_limits<uint64_t>::max();
  if (const std::string& token = request.page_token(); !token.empty()) {
    const auto parsed = std::from_chars(token.data(), token.data() + token.size(), before);
    if (parsed.ec != std::errc() || parsed.ptr != token.data() + token.size()) {
      return InvalidArgument(
          "page_token \"{}\" is none of ours; pass on next_page_token as it came", token);
    }
  }
  v1::ListIncidentsResponse response;
  response.set_revision(state_->revision);
  const uint32_t page =
      request.page_size() == 0 ? kPageDefault : std::min(request.page_size(), kPageMax);
  const auto& all = state_->incidents.all();
  for (auto at = all.lower_bound(before); at != all.begin();) {
    --at;
    if (!Wanted(request, at->second, StateOf(*state_, at->second))) continue;
    if (static_cast<uint32_t>(response.incidents_size()) == page) {
      response.set_next_page_token(std::to_string(response.incidents().rbegin()->id()));
      break;
    }
    *response.add_incidents() = IncidentView(*state_, at->second, false);
  }
  return response;
}

absl::StatusOr<v1::GetIncidentResponse> Cluster::GetIncident(
    const v1::GetIncidentRequest& request) const {
  const IncidentEntry* entry = state_->incidents.Find(request.incident_id());
  if (entry == nullptr) {
    return NotFound("there is no incident {}; `muster incident list` shows those there are",
                    request.incident_id());
  }
  v1::GetIncidentResponse response;
  *response.mutable_incident() = IncidentView(*state_, *entry, true);
  return response;
}

absl::StatusOr<std::vector<v1::Incident>> Cluster::IncidentsAfter(uint64_t revision,
                                                                  JobId job) const {
  const IncidentTable& table = state_->incidents;
  if (revision < table.forgotten_revision()) {
    return Error(absl::StatusCode::kOutOfRange,
                 "incidents after revision {} are asked for, some up to {} are forgotten; list "
                 "again and watch from the revision the list returns",
                 revision, table.forgotten_revision());
  }
  std::vector<const IncidentEntry*> changed;
  for (const auto& [id, entry] : table.all()) {
    const bool wanted = job == JobId() || entry.jobs.count(job) > 0;
    if (wanted && entry.facts.revision() > revision) changed.push_back(&entry);
  }
  std::stable_sort(changed.begin(), changed.end(),
                   [](const IncidentEntry* left, const IncidentEntry* right) {
                     return left->facts.revision() < right->facts.revision();
                   });
  std::vector<v1::Incident> views;
  for (const IncidentEntry* entry : changed) views.push_back(IncidentView(*state_, *entry, true));
  return views;
}

Cluster::IncidentCounts Cluster::CountIncidents() const {
  IncidentCounts counts;
  for (const uint64_t id : state_->incidents.open()) {
    ++counts.open;
    const IncidentEntry& entry = *state_->incidents.Find(id);
    if (StateOf(*state_, entry) == v1::INCIDENT_STATE_WAITING) ++counts.waiting;
  }
  counts.over_by_blame = state_->incidents.over_by_blame();
  return counts;
}

}  // namespace muster::coordinator::core
