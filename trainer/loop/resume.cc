#include "trainer/loop/resume.h"

#include <algorithm>
#include <span>
#include <utility>

#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/store.h"
#include "checkpoint/verify.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "trainer/loop/model_json.h"

namespace muster::trainer::loop {
namespace {

using checkpoint::CheckpointEntry;
using checkpoint::CheckpointState;
using checkpoint::Permitted;
using checkpoint::ResumeChoice;
using checkpoint::ResumePoint;
using rank::Agree;
using rank::Console;
using rank::FromFirst;
using rank::SaidByAll;
using rank::Section;

// Rank 0's side: offers candidates, newest first.
class Candidates {
 public:
  Candidates(const ResumeRequest& request, const Console& console, checkpoint::FileSystem& files)
      : request_(request), console_(console), files_(files) {}

  // The next one that verifies; nullopt: none.
  absl::StatusOr<std::optional<ResumePoint>> Next() {
    ResumeChoice choice;
    const bool first = !started_;
    started_ = true;
    if (first && !request_.permitted.has_value()) {
      MUSTER_ASSIGN_OR_RETURN(choice, checkpoint::ChooseNewest(request_.root, files_));
    } else {
      if (first) left_ = *request_.permitted;
      MUSTER_ASSIGN_OR_RETURN(choice, checkpoint::ChooseResume(request_.root, left_, files_));
    }
    for (const std::string& note : choice.notes) console_.problem(note);
    if (!choice.point.has_value() && !first) {
      return DataLoss(
          "{}: no checkpoint of this job can be loaded (see the lines above); restore one, or "
          "move the folder away to start again",
          request_.root);
    }
    if (!choice.point.has_value()) return choice.point;
    MUSTER_RETURN_IF_ERROR(KeepOlderThan(*choice.point));
    return choice.point;
  }

 private:
  absl::Status KeepOlderThan(const ResumePoint& point) {
    const checkpoint::CheckpointId chosen{point.manifest.step, point.manifest.attempt};
    if (!request_.permitted.has_value()) {
      left_.clear();
      MUSTER_ASSIGN_OR_RETURN(std::vector<CheckpointEntry> entries,
                              checkpoint::ListCheckpoints(request_.root, files_));
      for (const CheckpointEntry& entry : entries) {
        if (entry.state != CheckpointState::kCommitted || entry.id >= chosen) continue;
        left_.push_back({entry.id, entry.commit.manifest_sha256});
      }
      return absl::OkStatus();
    }
    while (!left_.empty() && left_.front().id != chosen) left_.erase(left_.begin());
    if (!left_.empty()) left_.erase(left_.begin());
    return absl::OkStatus();
  }

  const ResumeRequest& request_;
  const Console& console_;
  checkpoint::FileSystem& files_;
  bool started_ = false;
  std::vector<Permitted> left_;
};

bool IsDamage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDataLoss ||
         status.code() == absl::StatusCode::kNotFound;
}

bool HasMoments(const checkpoint::Manifest& manifest) {
  return std::any_of(manifest.tensors.begin(), manifest.tensors.end(),
                     [](const checkpoint::Tensor& tensor) { return IsMoment(tensor.name); });
}

absl::Status LoadOwn(const std::string& folder, const checkpoint::Manifest& manifest,
                     const std::vector<Section>& sections, bool from_init,
                     checkpoint::FileSystem& files) {
  std::vector<checkpoint::Request> requests;
  // An imported model comes without moments: they begin at zero, as the optimizer made them.
  const bool fresh_moments = from_init && !HasMoments(manifest);
  for (const Section& section : sections) {
    if (fresh_moments && IsMoment(section.box.tensor)) continue;
    requests.push_back({section.box, section.bytes});
  }
  return checkpoint::Load(folder, manifest, requests, files).status();
}

absl::StatusOr<std::optional<ResumePoint>> ReadInitFrom(const std::string& folder,
                                                        checkpoint::FileSystem& files) {
  const checkpoint::VerifyReport report =
      checkpoint::Verify(folder, nullptr, checkpoint::VerifyDepth::kEverything, files);
  MUSTER_RETURN_IF_ERROR(
      Annotate(checkpoint::VerifyStatus(folder, report), "checkpoint.init_from"));
  MUSTER_ASSIGN_OR_RETURN(checkpoint::Manifest manifest, checkpoint::ReadManifest(folder, files));
  return std::optional<ResumePoint>(ResumePoint{folder, std::move(manifest)});
}

// Gives rank 0's choice to everyone: folder, then the manifest's text; empty folder = none.
absl::StatusOr<std::optional<ResumePoint>> Share(
    const absl::StatusOr<std::optional<ResumePoint>>& choice, RankGroups& groups) {
  MUSTER_RETURN_IF_ERROR(Agree(*groups.world, choice.status()));
  const bool some = groups.first() && choice->has_value();
  MUSTER_ASSIGN_OR_RETURN(std::string folder,
                          FromFirst(*groups.world, some ? (*choice)->folder : ""));
  if (folder.empty()) return std::optional<ResumePoint>();
  MUSTER_ASSIGN_OR_RETURN(
      std::string text,
      FromFirst(*groups.world, some ? checkpoint::ManifestText((*choice)->manifest) : ""));
  MUSTER_ASSIGN_OR_RETURN(checkpoint::Manifest manifest, checkpoint::ParseManifest(text));
  return std::optional<ResumePoint>(ResumePoint{std::move(folder), std::move(manifest)});
}

absl::Status CheckModel(const ResumePoint& point, const std::string& model_json) {
  MUSTER_ASSIGN_OR_RETURN(parallel::ModelConfig saved,
                          ParseModelJson(point.manifest.run.model_json));
  if (ModelJson(saved) == model_json) return absl::OkStatus();
  return FailedPrecondition(
      "{}: saved from the model {}, the job says {}; use the model it was "
      "saved from, or another checkpoint folder",
      point.folder, ModelJson(saved), model_json);
}

}  // namespace

std::optional<checkpoint::CheckpointId> NewestStored(const ResumeRequest& request,
                                                     checkpoint::FileSystem& files) {
  if (request.permitted.has_value()) {
    for (const Permitted& permitted : *request.permitted) {
      const absl::StatusOr<checkpoint::CommitRecord> commit = checkpoint::ReadCommit(
          request.root + "/" + checkpoint::CheckpointFolder(permitted.id), files);
      if (absl::IsNotFound(commit.status())) continue;
      if (commit.ok() && commit->manifest_sha256 != permitted.manifest_sha256) continue;
      return permitted.id;
    }
    return std::nullopt;
  }
  const absl::StatusOr<std::vector<CheckpointEntry>> entries =
      checkpoint::ListCheckpoints(request.root, files);
  if (!entries.ok()) return std::nullopt;
  for (const CheckpointEntry& entry : *entries) {
    if (entry.state == CheckpointState::kCommitted) return entry.id;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<Resumed>> LoadNewest(const ResumeRequest& request,
                                                  const std::vector<Section>& sections,
                                                  RankGroups& groups, const Console& console,
                                                  checkpoint::FileSystem& files) {
  Candidates candidates(request, console, files);
  for (bool from_init = false;;) {
    absl::StatusOr<std::optional<ResumePoint>> choice = std::optional<ResumePoint>();
    if (groups.first()) choice = candidates.Next();
    if (groups.first() && choice.ok() && !choice->has_value() && !request.init_from.empty()) {
      choice = ReadInitFrom(request.init_from, files);
    }
    MUSTER_ASSIGN_OR_RETURN(std::optional<ResumePoint> point, Share(choice, groups));
    if (!point.has_value()) return std::optional<Resumed>();
    from_init = point->folder == request.init_from;
    MUSTER_RETURN_IF_ERROR(Agree(*groups.world, CheckModel(*point, request.model_json)));
    absl::Status loaded =
        Agree(*groups.world, LoadOwn(point->folder, point->manifest, sections, from_init, files));
    if (loaded.ok() && request.check) {
      loaded = Agree(*groups.world, request.check(point->manifest));
    }
    if (loaded.ok()) {
      return std::optional<Resumed>(
          Resumed{point->folder, std::move(point->manifest), from_init, false});
    }
    if (!SaidByAll(loaded) || !IsDamage(loaded) || from_init) return loaded;
    if (groups.first()) {
      console.problem(fmt::format("checkpoint stepped over: {}: {}; trying an older one",
                                  point->folder, std::string(loaded.message())));
    }
  }
}

absl::StatusOr<uint64_t> NextAttempt(const std::string& root, RankGroups& groups,
                                     checkpoint::FileSystem& files) {
  uint64_t attempt = 1;
  absl::Status listed;
  if (groups.first()) {
    const absl::StatusOr<std::vector<checkpoint::CheckpointEntry>> entries =
        checkpoint::ListCheckpoints(root, files);
    listed = entries.status();
    if (entries.ok()) {
      for (const auto& entry : *entries) attempt = std::max(attempt, entry.id.attempt + 1);
    }
  }
  MUSTER_RETURN_IF_ERROR(Agree(*groups.world, listed));
  MUSTER_RETURN_IF_ERROR(
      groups.world->Broadcast(std::as_writable_bytes(std::span(&attempt, 1)), 0));
  return attempt;
}

}  // namespace muster::trainer::loop
