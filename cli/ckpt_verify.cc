#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "checkpoint/store.h"
#include "checkpoint/verify.h"
#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"

namespace muster::cli {
namespace {

using Json = nlohmann::ordered_json;

// Verifies one checkpoint, with a bar on a terminal.
Json VerifyOne(const Session& session, const std::string& path) {
  Bar bar;
  const checkpoint::VerifyReport report =
      checkpoint::Verify(path, [&](uint64_t done, uint64_t total) {
        bar.Show(std::filesystem::path(path).filename().string(), done, total);
      });
  bar.Clear();
  if (!session.machine_readable()) {
    if (report.ok()) {
      fmt::print("{}: verified: {} in {}, {}\n", path, Counted(report.tensors, "tensor"),
                 Counted(report.files, "file"), BytesText(report.bytes));
    } else {
      fmt::print("{}: DAMAGED: {}\n", path, Counted(report.problems.size(), "problem"));
      for (const std::string& problem : report.problems) fmt::print("  {}\n", Printable(problem));
    }
  }
  return {{"path", path},          {"verified", report.ok()},
          {"files", report.files}, {"tensors", report.tensors},
          {"bytes", report.bytes}, {"problems", report.problems}};
}

absl::StatusOr<int> Verify(Session& session, const std::string& word) {
  const std::string what = "verify " + word;
  std::vector<std::string> paths;
  // With @STEP it is one; without, all of the folder.
  auto folder = FindCheckpointFolder(session, word);
  if (!folder.ok()) {
    const auto one = FindOneCheckpoint(session, word);
    if (!one.ok()) return During(what, one.status());
    folder = CheckpointFolder{*one, true};
  }
  if (folder->is_one_checkpoint) {
    paths.push_back(folder->path);
  } else {
    const auto entries = checkpoint::ListCheckpoints(folder->path);
    if (!entries.ok()) return During(what, entries.status());
    for (const checkpoint::CheckpointEntry& entry : *entries) {
      // A partial one is a save that never was; only what claims to be committed can be damaged.
      if (entry.state != checkpoint::CheckpointState::kPartial) paths.push_back(entry.path);
    }
    if (paths.empty()) {
      return NotFound("{}: no committed checkpoint in {}", what, folder->path);
    }
  }
  Json reports = Json::array();
  size_t damaged = 0;
  for (const std::string& path : paths) {
    reports.push_back(VerifyOne(session, path));
    if (!reports.back()["verified"].get<bool>()) ++damaged;
  }
  if (session.machine_readable()) PrintJson(session, {{"checkpoints", reports}});
  if (damaged == 0) return kExitOk;
  return DataLoss("{}: {} of {} damaged; a job resumes from the newest good one by itself", what,
                  damaged, paths.size());
}

}  // namespace

Command CkptVerifyCommand(Session* session) {
  auto word = std::make_shared<std::string>();
  Command verify;
  verify.name = "verify";
  verify.summary = "Read every byte and compare; exit code 1 if anything is damaged";
  verify.examples = R"(  muster ckpt verify gpt-stdlib             all committed ones of the job
  muster ckpt verify gpt-stdlib@200         the one of step 200
  muster ckpt verify checkpoints/gpt-stdlib-7-a1b2c3/step-0000000200.a1)";
  verify.options = {
      {"JOB|DIR", word.get(), "job id or name, a folder, or one of both @STEP", true, {}}};
  verify.run = [session, word] { return Verify(*session, *word); };
  return verify;
}

}  // namespace muster::cli
