#include <fmt/format.h>

#include <memory>

#include "checkpoint/store.h"
#include "cli/checkpoint_folder.h"
#include "cli/checkpoint_text.h"
#include "cli/ckpt_commands.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/proto_json.h"
#include "common/status.h"
#include "spec/yaml_text.h"

namespace muster::cli {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint::CheckpointEntry;
using checkpoint::CheckpointState;

absl::StatusOr<int> ListIn(const Session& session, const std::string& root) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> entries,
                          checkpoint::ListCheckpoints(root));
  if (session.machine_readable()) {
    Json list = Json::array();
    for (const CheckpointEntry& entry : entries) {
      list.push_back({{"step", entry.id.step},
                      {"attempt", entry.id.attempt},
                      {"state", checkpoint::CheckpointStateText(entry.state)},
                      {"pinned", entry.pinned},
                      {"path", entry.path},
                      {"problem", entry.problem}});
    }
    PrintJson(session, {{"folder", root}, {"checkpoints", list}});
    return kExitOk;
  }
  if (entries.empty()) {
    fmt::print("no checkpoints in {}\n", root);
    return kExitOk;
  }
  fmt::print("{}", CheckpointEntryTable(entries));
  uint64_t committed = 0, pinned = 0;
  const CheckpointEntry* newest = nullptr;
  for (const CheckpointEntry& entry : entries) {
    if (entry.state == CheckpointState::kCommitted && committed++ == 0) newest = &entry;
    if (entry.pinned) ++pinned;
  }
  fmt::print("{} committed{}, {} pinned, in {}\n", committed,
             newest == nullptr ? "" : fmt::format(" (newest: step {})", newest->id.step), pinned,
             root);
  return kExitOk;
}

absl::StatusOr<int> List(Session& session, const std::string& word) {
  const auto folder = FindCheckpointFolder(session, word);
  if (!folder.ok()) return During("list checkpoints of " + word, folder.status());
  return ListIn(session, folder->path);
}

}  // namespace

void PrintJson(const Session& session, const Json& json) {
  if (session.format() == OutputFormat::kYaml) {
    fmt::print("{}", spec::YamlText(json));
  } else {
    fmt::print("{}\n", JsonText(json, 2));
  }
}

void Bar::Show(const std::string& what, uint64_t done, uint64_t total) {
  const uint64_t thousandths =
      total == 0
          ? 1000
          : static_cast<uint64_t>(1000.0 * static_cast<double>(done) / static_cast<double>(total));
  if (thousandths == shown_ && what == what_) return;
  shown_ = thousandths;
  what_ = what;
  line_.Show(fmt::format("{}  {}", BarText(done, total), what));
}

absl::Status OfDisk(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  return absl::InternalError(status.message());
}

std::string Counted(uint64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

Command CkptListCommand(Session* session) {
  auto word = std::make_shared<std::string>();
  Command list;
  list.name = "list";
  list.summary = "Checkpoints of a job or in a folder, newest first";
  list.examples = R"(  muster ckpt list gpt-stdlib
  muster ckpt list checkpoints/gpt-stdlib-7-a1b2c3)";
  list.options = {{"JOB|DIR", word.get(), "job id or name, or a folder", true, {}}};
  list.run = [session, word] { return List(*session, *word); };
  return list;
}

Command CkptCommand(Session* session) {
  Command command;
  command.name = "ckpt";
  command.summary = "Checkpoints: look at, verify, keep, delete, compare, copy, exchange";
  command.examples = R"(  muster ckpt list gpt-stdlib              what there is
  muster ckpt verify gpt-stdlib            every byte of all of them
  muster ckpt pin gpt-stdlib@200           keep step 200 for good
  muster ckpt diff gpt-stdlib@100 gpt-stdlib@200)";
  command.children = {CkptListCommand(session),   CkptShowCommand(session),
                      CkptVerifyCommand(session), CkptPinCommand(session),
                      CkptUnpinCommand(session),  CkptPruneCommand(session),
                      CkptDiffCommand(session),   CkptCopyCommand(session),
                      CkptExportCommand(session), CkptImportCommand(session)};
  return command;
}

}  // namespace muster::cli
