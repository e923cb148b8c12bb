#include "cli/checkpoint_folder.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "checkpoint/store.h"
#include "common/status.h"

namespace muster::cli {
namespace {

using checkpoint::CheckpointEntry;

struct StepOf {
  std::string word;
  std::optional<uint64_t> step;
};

// "gpt@200" → gpt, 200. A folder whose name ends so is itself.
StepOf SplitStep(const std::string& word) {
  const size_t at = word.rfind('@');
  std::error_code error;
  if (at == std::string::npos || std::filesystem::exists(word, error)) return {word, {}};
  uint64_t step = 0;
  const char* begin = word.data() + at + 1;
  const char* end = word.data() + word.size();
  const auto parsed = std::from_chars(begin, end, step);
  if (begin == end || parsed.ec != std::errc() || parsed.ptr != end) return {word, {}};
  return {word.substr(0, at), step};
}

}  // namespace

absl::StatusOr<CheckpointFolder> FindCheckpointFolder(Session& session, const std::string& word) {
  std::error_code error;
  if (std::filesystem::is_directory(word, error)) {
    std::string path = word;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::string name = std::filesystem::absolute(path).filename().string();
    // A damaged one may lack any of its files: its name is enough.
    const bool one = checkpoint::ParseCheckpointFolder(name).has_value() ||
                     std::filesystem::exists(path + "/manifest.json", error);
    return CheckpointFolder{path, one};
  }
  if (word.find('/') != std::string::npos) return NotFound("no folder {}", word);
  MUSTER_ASSIGN_OR_RETURN(const v1::Job job, session.client().GetJob(word));
  const std::string path = job.spec().checkpoint().path() + "/" + job.uid();
  if (job.spec().checkpoint().path().empty()) {
    return FailedPrecondition("job {} keeps no checkpoints", job.id());
  }
  if (!std::filesystem::is_directory(path, error)) {
    return NotFound(
        "no folder {} on this machine; the job has saved nothing yet, or its storage "
        "is not mounted here",
        path);
  }
  return CheckpointFolder{path, false};
}

absl::StatusOr<std::string> FindOneCheckpoint(Session& session, const std::string& word) {
  const StepOf wanted = SplitStep(word);
  MUSTER_ASSIGN_OR_RETURN(const CheckpointFolder folder,
                          FindCheckpointFolder(session, wanted.word));
  if (folder.is_one_checkpoint) return folder.path;
  MUSTER_ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> entries,
                          checkpoint::ListCheckpoints(folder.path));
  std::string steps;
  for (const CheckpointEntry& entry : entries) {
    if (entry.state != checkpoint::CheckpointState::kCommitted) continue;
    if (!wanted.step.has_value() || entry.id.step == *wanted.step) return entry.path;
    steps += fmt::format("{}{}", steps.empty() ? "" : ", ", entry.id.step);
  }
  if (steps.empty()) return NotFound("no committed checkpoint in {}", folder.path);
  return NotFound("no committed checkpoint of step {} in {}; there are {}", *wanted.step,
                  folder.path, steps);
}

Option OneCheckpointOption(std::string* word) {
  return {"CHECKPOINT",
          word,
          "a checkpoint's folder; or a job or a folder of checkpoints: then the newest committed "
          "one, with @STEP behind it the one of that step",
          true,
          {}};
}

}  // namespace muster::cli
