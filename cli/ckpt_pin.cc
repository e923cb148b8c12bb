#include <fmt/format.h>

#include <memory>

#include "checkpoint/pin.h"
#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"

namespace muster::cli {
namespace {

struct PinOptions {
  std::string word;
  std::string note;
};

absl::StatusOr<int> Told(const Session& session, const std::string& path, bool pinned,
                         const std::string& text) {
  if (session.machine_readable()) {
    PrintJson(session, {{"path", path}, {"pinned", pinned}});
  } else {
    fmt::print("{}\n", text);
  }
  return kExitOk;
}

absl::StatusOr<int> Pin(Session& session, const PinOptions& options) {
  const auto path = FindOneCheckpoint(session, options.word);
  if (!path.ok()) return During("pin " + options.word, path.status());
  MUSTER_RETURN_IF_ERROR(checkpoint::Pin(*path, Printable(options.note)));
  return Told(
      session, *path, true,
      fmt::format("{}: pinned; no prune deletes it until: muster ckpt unpin {}", *path, *path));
}

absl::StatusOr<int> Unpin(Session& session, const PinOptions& options) {
  const auto path = FindOneCheckpoint(session, options.word);
  if (!path.ok()) return During("unpin " + options.word, path.status());
  MUSTER_RETURN_IF_ERROR(checkpoint::Unpin(*path));
  return Told(session, *path, false,
              fmt::format("{}: no longer pinned; the next prune may delete it", *path));
}

}  // namespace

Command CkptPinCommand(Session* session) {
  auto options = std::make_shared<PinOptions>();
  Command pin;
  pin.name = "pin";
  pin.summary = "Keep a checkpoint for good: no prune deletes it, not the job's own either";
  pin.examples = R"(  muster ckpt pin gpt-stdlib@200 --note 'best on the held-out set'
  muster ckpt pin gpt-stdlib                the job's newest)";
  pin.options = {OneCheckpointOption(&options->word),
                 {"--note", &options->note, "why, for whoever finds it later", false, {}}};
  pin.run = [session, options] { return Pin(*session, *options); };
  return pin;
}

Command CkptUnpinCommand(Session* session) {
  auto options = std::make_shared<PinOptions>();
  Command unpin;
  unpin.name = "unpin";
  unpin.summary = "Take a pin back; nothing is deleted by it";
  unpin.examples = "  muster ckpt unpin gpt-stdlib@200";
  unpin.options = {OneCheckpointOption(&options->word)};
  unpin.run = [session, options] { return Unpin(*session, *options); };
  return unpin;
}

}  // namespace muster::cli
