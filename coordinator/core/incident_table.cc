#include "coordinator/core/incident_table.h"

#include <algorithm>

#include "common/check.h"

namespace muster::coordinator::core {
namespace {

constexpr int kClosedEvidenceMax = 16;

void Add(v1::PhaseSeconds* seconds, RepairPhase phase, double passed) {
  switch (phase) {
    case RepairPhase::kStop:
      seconds->set_stop(seconds->stop() + passed);
      return;
    case RepairPhase::kReplace:
      seconds->set_replace(seconds->replace() + passed);
      return;
    case RepairPhase::kStart:
      seconds->set_start(seconds->start() + passed);
      return;
    case RepairPhase::kLoad:
      seconds->set_load(seconds->load() + passed);
      return;
    case RepairPhase::kRecompute:
      seconds->set_recompute(seconds->recompute() + passed);
      return;
    case RepairPhase::kOver:
      return;
  }
}

}  // namespace

bool IncidentEntry::over() const {
  return std::all_of(jobs.begin(), jobs.end(),
                     [](const auto& job) { return job.second.phase == RepairPhase::kOver; });
}

void IncidentEntry::FillEvidence(int most, v1::Incident* incident) const {
  for (const SeenFailure& failure : failures) {
    incident->set_evidence_left_out(incident->evidence_left_out() + failure.left_out);
    for (const v1::Evidence& one : failure.evidence) {
      if (incident->evidence_size() < most) {
        *incident->add_evidence() = one;
      } else {
        incident->set_evidence_left_out(incident->evidence_left_out() + 1);
      }
    }
  }
}

IncidentEntry& IncidentTable::Add(uint64_t id, int64_t opened_ms) {
  CHECK(id > last_id_, "incident {} is opened after {}", id, last_id_);
  last_id_ = id;
  open_.insert(id);
  IncidentEntry& entry = all_[id];
  entry.facts.set_id(id);
  entry.opened_ms = opened_ms;
  return entry;
}

IncidentEntry* IncidentTable::Find(uint64_t id) {
  const auto found = all_.find(id);
  return found == all_.end() ? nullptr : &found->second;
}

const IncidentEntry* IncidentTable::Find(uint64_t id) const {
  const auto found = all_.find(id);
  return found == all_.end() ? nullptr : &found->second;
}

IncidentEntry* IncidentTable::OpenOf(JobId job) {
  const auto found = open_of_.find(job);
  return found == open_of_.end() ? nullptr : Find(found->second);
}

const IncidentEntry* IncidentTable::OpenOf(JobId job) const {
  const auto found = open_of_.find(job);
  return found == open_of_.end() ? nullptr : Find(found->second);
}

void IncidentTable::Close(IncidentEntry& entry) {
  ++over_by_blame_[entry.facts.blame()];
  open_.erase(entry.facts.id());
  entry.FillEvidence(kClosedEvidenceMax, &entry.facts);
  entry.failures.clear();
}

void IncidentTable::Changed(IncidentEntry& entry, uint64_t revision) {
  const uint64_t id = entry.facts.id();
  entry.facts.set_revision(revision);
  changed_.insert(id);
  if (entry.over() && open_.count(id) > 0) Close(entry);
  while (all_.size() - open_.size() > kept_) {
    const auto oldest = std::find_if(
        all_.begin(), all_.end(), [this](const auto& one) { return open_.count(one.first) == 0; });
    forgotten_ = std::max(forgotten_, oldest->second.facts.revision());
    changed_.erase(oldest->first);
    all_.erase(oldest);
  }
}

std::vector<uint64_t> IncidentTable::TakeChanged() {
  std::vector<uint64_t> ids(changed_.begin(), changed_.end());
  changed_.clear();
  std::stable_sort(ids.begin(), ids.end(), [this](uint64_t left, uint64_t right) {
    return Find(left)->facts.revision() < Find(right)->facts.revision();
  });
  return ids;
}

void MoveOn(HitJob& job, RepairPhase next, int64_t now_ms) {
  const int64_t passed_ms = std::max<int64_t>(0, now_ms - job.since_ms);
  core::Add(job.view.mutable_seconds(), job.phase, static_cast<double>(passed_ms) / 1e3);
  job.since_ms = std::max(job.since_ms, now_ms);
  job.phase = next;
}

double TotalSeconds(const v1::PhaseSeconds& seconds) {
  return seconds.detect() + seconds.decide() + seconds.stop() + seconds.replace() +
         seconds.start() + seconds.load() + seconds.recompute();
}

}  // namespace muster::coordinator::core
