#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/store.h"
#include "checkpoint/verify.h"
#include "cli/checkpoint_folder.h"
#include "cli/checkpoint_text.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/progress_line.h"
#include "cli/proto_json.h"
#include "cli/table.h"
#include "common/status.h"
#include "common/terminal.h"
#include "spec/yaml_text.h"

namespace muster::cli {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint::CheckpointEntry;

void PrintJson(const Session& session, const Json& json) {
  if (session.format() == OutputFormat::kYaml) {
    fmt::print("{}", spec::YamlText(json));
  } else {
    fmt::print("{}\n", JsonText(json, 2));
  }
}

absl::StatusOr<int> ListIn(const Session& session, const std::string& root) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> entries,
                          checkpoint::ListCheckpoints(root));
  if (session.machine_readable()) {
    Json list = Json::array();
    for (const CheckpointEntry& entry : entries) {
      list.push_back({{"step", entry.id.step},
                      {"attempt", entry.id.attempt},
                      {"state", checkpoint::CheckpointStateText(entry.state)},
                      {"path", entry.path},
                      {"problem", entry.problem}});
    }
    PrintJson(session, {{"folder", root}, {"checkpoints", list}});
  } else if (entries.empty()) {
    fmt::print("no checkpoints in {}\n", root);
  } else {
    fmt::print("{}", CheckpointEntryTable(entries));
  }
  return kExitOk;
}

absl::StatusOr<int> List(Session& session, const std::string& word) {
  const auto folder = FindCheckpointFolder(session, word);
  if (!folder.ok()) return During("list checkpoints of " + word, folder.status());
  return ListIn(session, folder->path);
}

// Verifies one checkpoint, with a bar on a terminal.
Json VerifyOne(const Session& session, const std::string& path) {
  LiveLine line(stderr);
  const checkpoint::VerifyReport report =
      checkpoint::Verify(path, [&](uint64_t done, uint64_t total) {
        line.Show(fmt::format("{}  {}", BarText(done, total),
                              std::filesystem::path(path).filename().string()));
      });
  line.Clear();
  if (!session.machine_readable()) {
    if (report.ok()) {
      fmt::print("{}: verified: {} tensors in {} files, {}\n", path, report.tensors, report.files,
                 BytesText(report.bytes));
    } else {
      fmt::print("{}: DAMAGED: {} problem{}\n", path, report.problems.size(),
                 report.problems.size() == 1 ? "" : "s");
      for (const std::string& problem : report.problems) fmt::print("  {}\n", Printable(problem));
    }
  }
  return {{"path", path},          {"verified", report.ok()},
          {"files", report.files}, {"tensors", report.tensors},
          {"bytes", report.bytes}, {"problems", report.problems}};
}

absl::StatusOr<int> Verify(Session& session, const std::string& word) {
  const std::string what = "verify " + word;
  const auto folder = FindCheckpointFolder(session, word);
  if (!folder.ok()) return During(what, folder.status());
  std::vector<std::string> paths;
  if (folder->is_one_checkpoint) {
    paths.push_back(folder->path);
  } else {
    const auto entries = checkpoint::ListCheckpoints(folder->path);
    if (!entries.ok()) return During(what, entries.status());
    for (const CheckpointEntry& entry : *entries) {
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

Command CkptCommand(Session* session) {
  auto list_word = std::make_shared<std::string>();
  Command list;
  list.name = "list";
  list.summary = "Checkpoints of a job or in a folder, newest first";
  list.examples = R"(  muster ckpt list gpt-stdlib
  muster ckpt list checkpoints/gpt-stdlib-7-a1b2c3)";
  list.options = {{"JOB|DIR", list_word.get(), "job id or name, or a folder", true, {}}};
  list.run = [session, list_word] { return List(*session, *list_word); };

  auto verify_word = std::make_shared<std::string>();
  Command verify;
  verify.name = "verify";
  verify.summary = "Read every byte and compare; exit code 1 if anything is damaged";
  verify.examples = R"(  muster ckpt verify gpt-stdlib             all committed ones of the job
  muster ckpt verify checkpoints/gpt-stdlib-7-a1b2c3/step-0000000200.a1)";
  verify.options = {{"JOB|DIR", verify_word.get(), "job id or name, or a folder", true, {}}};
  verify.run = [session, verify_word] { return Verify(*session, *verify_word); };

  Command command;
  command.name = "ckpt";
  command.summary = "Checkpoints: list and verify";
  command.examples = "  muster ckpt list gpt-stdlib\n  muster ckpt verify gpt-stdlib";
  command.children = {list, verify};
  return command;
}

}  // namespace muster::cli
