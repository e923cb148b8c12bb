#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "checkpoint/store.h"
#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"

namespace muster::cli {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint::CheckpointId;

struct PruneFlags {
  std::string word;
  uint64_t keep = 0;
  uint64_t keep_every = 0;
  uint64_t keep_best = 0;
  bool dry_run = false;
};

std::string Steps(const std::vector<CheckpointId>& ids) {
  std::string text;
  for (const CheckpointId& id : ids) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", id.step);
  }
  return text;
}

Json Names(const std::vector<CheckpointId>& ids) {
  Json names = Json::array();
  for (const CheckpointId& id : ids) names.push_back(checkpoint::CheckpointFolder(id));
  return names;
}

absl::StatusOr<int> Prune(Session& session, const PruneFlags& flags) {
  const std::string what = "prune " + flags.word;
  if (flags.keep == 0 || flags.keep > UINT32_MAX) {
    return InvalidArgument("{}: --keep must be 1 to {}", what, UINT32_MAX);
  }
  const auto folder = FindCheckpointFolder(session, flags.word);
  if (!folder.ok()) return During(what, folder.status());
  if (folder->is_one_checkpoint) {
    return InvalidArgument("{}: is one checkpoint; name the job or the folder above it", what);
  }
  checkpoint::PruneOptions options;
  options.keep = static_cast<uint32_t>(flags.keep);
  options.keep_every = flags.keep_every;
  options.keep_best = static_cast<uint32_t>(std::min<uint64_t>(flags.keep_best, UINT32_MAX));
  options.only_plan = flags.dry_run;
  const auto report = checkpoint::Prune(folder->path, options);
  if (!report.ok()) return During(what, report.status());
  if (session.machine_readable()) {
    PrintJson(session, {{"folder", folder->path},
                        {"dry_run", flags.dry_run},
                        {"deleted", Names(report->deleted)},
                        {"swept", Names(report->swept)},
                        {"spared", Names(report->spared)},
                        {"kept_for_safety", report->kept_for_safety}});
  } else {
    const char* verb = flags.dry_run ? "would delete" : "deleted";
    fmt::print("{}: {} {}{}", folder->path, verb, Counted(report->deleted.size(), "checkpoint"),
               report->deleted.empty() ? "" : " (step " + Steps(report->deleted) + ")");
    if (!report->swept.empty()) {
      fmt::print(" and {}", Counted(report->swept.size(), "unfinished save"));
    }
    if (!report->spared.empty()) {
      fmt::print("; kept beside the newest {}: step {}", flags.keep, Steps(report->spared));
    }
    fmt::print("\n");
  }
  if (report->kept_for_safety.empty()) return kExitOk;
  return DataLoss("{}: {}; see: muster ckpt verify {}", what, report->kept_for_safety, flags.word);
}

}  // namespace

Command CkptPruneCommand(Session* session) {
  auto flags = std::make_shared<PruneFlags>();
  Command prune;
  prune.name = "prune";
  prune.summary =
      "Delete old checkpoints; never a pinned one, and nothing unless a kept one verifies";
  prune.examples = R"(  muster ckpt prune gpt-stdlib --keep 3 --dry-run
  muster ckpt prune gpt-stdlib --keep 3 --keep-best 1
  muster ckpt prune gpt-stdlib --keep 3 --keep-every 1000   and the thousandth, two thousandth ...
  muster ckpt prune checkpoints/gpt-stdlib-7-a1b2c3 --keep 1)";
  prune.options = {
      {"JOB|DIR", &flags->word, "job id or name, or a folder of checkpoints", true, {}},
      {"--keep", &flags->keep, "how many of the newest stay", true, {}},
      {"--keep-every",
       &flags->keep_every,
       "those at multiples of so many steps stay too",
       false,
       {}},
      {"--keep-best",
       &flags->keep_best,
       "so many with the lowest held-out loss stay too",
       false,
       {}},
      {"--dry-run", &flags->dry_run, "say what would be deleted", false, {}}};
  prune.run = [session, flags] { return Prune(*session, *flags); };
  return prune;
}

}  // namespace muster::cli
