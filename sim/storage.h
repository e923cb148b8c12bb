// The shared storage of checkpoints: what is committed there, by the one act that counts (link).
//
// Time, threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster::sim {

class Storage {
 public:
  using Name = std::pair<uint64_t, uint64_t>;  // step, attempt: newest last

  // COMMIT by link(): false when there is one already.
  bool Commit(const std::string& job_uid, Name name, const std::string& manifest) {
    ever_.insert(job_uid);
    return jobs_[job_uid].try_emplace(name, manifest).second;
  }
  bool IsCommitted(const std::string& job_uid, const v1::CheckpointRef& ref) const {
    const auto job = jobs_.find(job_uid);
    if (job == jobs_.end()) return false;
    const auto found = job->second.find({ref.step(), ref.attempt()});
    return found != job->second.end() && found->second == ref.manifest_sha256();
  }
  // Deletes all but the `keep` newest (0 = all stay); returns what went.
  std::vector<Name> Prune(const std::string& job_uid, uint64_t keep) {
    std::vector<Name> gone;
    auto& all = jobs_[job_uid];
    while (keep > 0 && all.size() > keep) {
      gone.push_back(all.begin()->first);
      all.erase(all.begin());
    }
    return gone;
  }
  // Once committed, never again without a committed one.
  bool Lost(const std::string& job_uid) const {
    const auto job = jobs_.find(job_uid);
    return ever_.count(job_uid) > 0 && (job == jobs_.end() || job->second.empty());
  }
  const Name* Newest(const std::string& job_uid) const {
    const auto job = jobs_.find(job_uid);
    return job == jobs_.end() || job->second.empty() ? nullptr : &job->second.rbegin()->first;
  }
  void Forget(const std::string& job_uid) {
    jobs_.erase(job_uid);
    ever_.erase(job_uid);
  }

 private:
  std::map<std::string, std::map<Name, std::string>> jobs_;
  std::set<std::string> ever_;
};

}  // namespace muster::sim
