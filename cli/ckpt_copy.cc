#include <fmt/format.h>

#include <memory>

#include "checkpoint/copy.h"
#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"

namespace muster::cli {
namespace {

struct CopyFlags {
  std::string word;
  std::string root;
};

absl::StatusOr<int> Copy(Session& session, const CopyFlags& flags) {
  const std::string what = "copy " + flags.word;
  const auto path = FindOneCheckpoint(session, flags.word);
  if (!path.ok()) return During(what, path.status());
  std::string root = flags.root;
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  Bar bar;
  const auto report = checkpoint::CopyCheckpoint(
      *path, root,
      [&](const char* stage, uint64_t done, uint64_t total) { bar.Show(stage, done, total); });
  bar.Clear();
  if (!report.ok()) return OfDisk(report.status());
  if (session.machine_readable()) {
    PrintJson(session, {{"from", *path},
                        {"path", report->path},
                        {"was_there", report->was_there},
                        {"files", report->files},
                        {"bytes", report->bytes},
                        {"bytes_resumed", report->bytes_resumed}});
  } else if (report->was_there) {
    fmt::print("{}: is there already and verified: {}\n", report->path, BytesText(report->bytes));
  } else {
    fmt::print("{}: copied and verified: {} in {}{}\n", report->path, BytesText(report->bytes),
               Counted(report->files, "file"),
               report->bytes_resumed == 0
                   ? ""
                   : fmt::format(", {} of it by an earlier try", BytesText(report->bytes_resumed)));
  }
  return kExitOk;
}

}  // namespace

Command CkptCopyCommand(Session* session) {
  auto flags = std::make_shared<CopyFlags>();
  Command copy;
  copy.name = "copy";
  copy.summary = "Copy a checkpoint to another folder, verified; goes on after an interruption";
  copy.examples = R"(  muster ckpt copy gpt-stdlib@200 /mnt/archive/gpt-stdlib
  muster ckpt copy checkpoints/gpt-stdlib-7-a1b2c3/step-0000000200.a1 /mnt/archive/gpt-stdlib)";
  copy.options = {
      OneCheckpointOption(&flags->word),
      {"FOLDER", &flags->root, "where the copy's own folder step-... is made", true, {}}};
  copy.run = [session, flags] { return Copy(*session, *flags); };
  return copy;
}

}  // namespace muster::cli
