#include "checkpoint/resume.h"

#include <nlohmann/json.hpp>

#include "checkpoint/strict_json.h"
#include "common/status.h"

namespace muster::checkpoint {
namespace {

// Takes the checkpoint if all of it is good; says why not otherwise.
absl::StatusOr<ResumePoint> Try(const std::string& folder, const std::string& sha256,
                                FileSystem& files, VerifyDepth depth) {
  MUSTER_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(folder, files));
  if (!sha256.empty() && commit.manifest_sha256 != sha256) {
    return DataLoss("{}: COMMIT names another manifest than the one permitted", folder);
  }
  const VerifyReport report = Verify(folder, nullptr, depth, files);
  MUSTER_RETURN_IF_ERROR(VerifyStatus(folder, report));
  MUSTER_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(folder, files));
  return ResumePoint{folder, std::move(manifest)};
}

struct Candidate {
  std::string folder;
  std::string sha256;  // empty: any
};

absl::StatusOr<ResumeChoice> Choose(const std::string& root,
                                    const std::vector<Candidate>& candidates, FileSystem& files,
                                    VerifyDepth depth) {
  ResumeChoice choice;
  size_t damaged = 0;
  for (const Candidate& candidate : candidates) {
    absl::StatusOr<ResumePoint> point = Try(candidate.folder, candidate.sha256, files, depth);
    if (point.ok()) {
      choice.point = *std::move(point);
      return choice;
    }
    choice.notes.push_back("stepped over: " + std::string(point.status().message()));
    if (!absl::IsNotFound(point.status())) ++damaged;
  }
  if (damaged > 0) {
    return DataLoss(
        "resume from {}: all {} committed checkpoints are damaged, first: {}; restore "
        "one, or move the folder away to start fresh",
        root, damaged, choice.notes.front());
  }
  return choice;
}

}  // namespace

absl::StatusOr<std::vector<Permitted>> ParsePermitted(const std::string& text) {
  absl::StatusOr<nlohmann::json> json = ParseJsonFieldsOnce(text, "resume.json");
  if (!json.ok() || !json->is_array()) {
    return InvalidArgument(
        "resume.json: a list of {{step, attempt, manifest_sha256}} was expected");
  }
  std::vector<Permitted> out;
  for (const nlohmann::json& item : *json) {
    const absl::StatusOr<uint64_t> step = U64Field(item, "step");
    const absl::StatusOr<uint64_t> attempt = U64Field(item, "attempt");
    const absl::StatusOr<std::string> sha256 = TextField(item, "manifest_sha256");
    for (const absl::Status& status : {step.status(), attempt.status(), sha256.status()}) {
      if (!status.ok()) {
        return InvalidArgument("resume.json: row {}: {}", out.size() + 1,
                               std::string(status.message()));
      }
    }
    // An empty one would take any manifest.
    if (sha256->empty()) {
      return InvalidArgument("resume.json: row {}: manifest_sha256 is empty", out.size() + 1);
    }
    out.push_back({{*step, *attempt}, *sha256});
  }
  return out;
}

absl::StatusOr<ResumeChoice> ChooseResume(const std::string& root,
                                          std::span<const Permitted> permitted, FileSystem& files,
                                          VerifyDepth depth) {
  std::vector<Candidate> candidates;
  for (const Permitted& row : permitted) {
    candidates.push_back({root + "/" + CheckpointFolder(row.id), row.manifest_sha256});
  }
  return Choose(root, candidates, files, depth);
}

absl::StatusOr<ResumeChoice> ChooseNewest(const std::string& root, FileSystem& files,
                                          VerifyDepth depth) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> all, ListCheckpoints(root, files));
  std::vector<Candidate> candidates;
  for (const CheckpointEntry& entry : all) {
    if (entry.state != CheckpointState::kPartial) candidates.push_back({entry.path, ""});
  }
  return Choose(root, candidates, files, depth);
}

}  // namespace muster::checkpoint
