#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <set>

#include "checkpoint/commit.h"
#include "checkpoint/manifest.h"
#include "checkpoint/pin.h"
#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "cli/table.h"
#include "common/status.h"

namespace muster::cli {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint::Manifest;
using checkpoint::Tensor;

struct ShowOptions {
  std::string word;
  bool tensors = false;
};

uint64_t BytesOf(const Tensor& tensor) {
  return ByteCount(checkpoint::WholeTensor(tensor.name, tensor.dtype, tensor.shape));
}

size_t FilesOf(const Tensor& tensor) {
  std::set<std::string_view> files;
  for (const checkpoint::Piece& piece : tensor.pieces) files.insert(piece.file);
  return files.size();
}

Json ToJson(const std::string& path, const checkpoint::CommitRecord& commit,
            const Manifest& manifest, bool pinned, const std::string& note, bool tensors) {
  Json json = {{"path", path},
               {"step", manifest.step},
               {"attempt", manifest.attempt},
               {"epoch", commit.epoch},
               {"job", manifest.job_uid},
               {"manifest_sha256", commit.manifest_sha256},
               {"pinned", pinned},
               {"pin_note", note},
               {"bytes", TotalBytes(manifest)},
               {"files", manifest.files.size()},
               {"tensor_count", manifest.tensors.size()},
               {"layout", manifest.run.layout},
               {"tokens", manifest.run.tokens},
               {"next_sample", manifest.run.next_sample},
               {"seed", manifest.run.seed},
               {"config_digest", manifest.run.config_digest},
               {"dataset_path", manifest.run.dataset_path},
               {"dataset_digest", manifest.run.dataset_digest},
               {"tokenizer", manifest.run.tokenizer},
               {"model", Json::parse(manifest.run.model_json, nullptr, false)},
               {"extra", Json::parse(manifest.run.extra_json, nullptr, false)}};
  if (!tensors) return json;
  Json list = Json::array();
  for (const Tensor& tensor : manifest.tensors) {
    list.push_back({{"name", tensor.name},
                    {"dtype", checkpoint::DTypeName(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"bytes", BytesOf(tensor)},
                    {"pieces", tensor.pieces.size()},
                    {"files", FilesOf(tensor)}});
  }
  json["tensors"] = std::move(list);
  return json;
}

// "layers 2, d_model 64, ...".
std::string ModelText(const std::string& model_json) {
  const Json model = Json::parse(model_json, nullptr, false);
  std::string text;
  if (!model.is_object()) return "-";
  for (const auto& [key, value] : model.items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, value.dump());
  }
  return text.empty() ? "-" : text;
}

void Line(const char* key, const std::string& value) {
  fmt::print("{:<10} {}\n", key, Printable(value.empty() ? "-" : value));
}

void Print(const std::string& path, const checkpoint::CommitRecord& commit,
           const Manifest& manifest, bool pinned, const std::string& note) {
  const checkpoint::RunState& run = manifest.run;
  Line("folder", path);
  Line("step",
       fmt::format("{} (attempt {}, epoch {})", manifest.step, manifest.attempt, commit.epoch));
  Line("job", manifest.job_uid);
  Line("layout", run.layout);
  Line("model", ModelText(run.model_json));
  Line("trained",
       fmt::format("{} tokens; next sample {}; seed {}", run.tokens, run.next_sample, run.seed));
  Line("data", run.dataset_path.empty()
                   ? ""
                   : fmt::format("{} (digest {:.12})", run.dataset_path, run.dataset_digest));
  Line("tokenizer", run.tokenizer);
  Line("extra", run.extra_json == "{}" ? "" : run.extra_json);
  Line("manifest", "sha256 " + commit.manifest_sha256);
  Line("pinned", pinned ? (note.empty() ? "yes" : "yes: " + note) : "no");
}

absl::StatusOr<int> Show(Session& session, const ShowOptions& options) {
  const std::string what = "show " + options.word;
  const auto path = FindOneCheckpoint(session, options.word);
  if (!path.ok()) return During(what, path.status());
  const auto commit = checkpoint::ReadCommit(*path);
  if (!commit.ok()) return During(what, commit.status());
  const auto manifest = checkpoint::ReadManifest(*path);
  if (!manifest.ok()) return During(what, manifest.status());
  MUSTER_ASSIGN_OR_RETURN(const bool pinned, checkpoint::IsPinned(*path));
  const std::string note =
      pinned ? checkpoint::PinNote(*path).value_or("(unreadable)") : std::string();
  if (session.machine_readable()) {
    PrintJson(session, ToJson(*path, *commit, *manifest, pinned, note, options.tensors));
    return kExitOk;
  }
  Print(*path, *commit, *manifest, pinned, note);
  if (options.tensors) {
    Table table({"TENSOR", "DTYPE", "SHAPE", "SIZE", "PIECES", "FILES"});
    for (const Tensor& tensor : manifest->tensors) {
      table.AddRow({tensor.name, checkpoint::DTypeName(tensor.dtype),
                    fmt::format("[{}]", fmt::join(tensor.shape, ",")), BytesText(BytesOf(tensor)),
                    std::to_string(tensor.pieces.size()), std::to_string(FilesOf(tensor))});
    }
    fmt::print("\n{}", table.Text());
  }
  fmt::print("step {}: {} in {}, {}; the contents are proven by: muster ckpt verify\n",
             manifest->step, Counted(manifest->tensors.size(), "tensor"),
             Counted(manifest->files.size(), "file"), BytesText(TotalBytes(*manifest)));
  return kExitOk;
}

}  // namespace

Command CkptShowCommand(Session* session) {
  auto options = std::make_shared<ShowOptions>();
  Command show;
  show.name = "show";
  show.summary = "What one checkpoint holds: model, run, tensors, and who may delete it";
  show.examples = R"(  muster ckpt show gpt-stdlib               the job's newest
  muster ckpt show gpt-stdlib@200 --tensors every tensor with its shape
  muster ckpt show checkpoints/gpt-stdlib-7-a1b2c3/step-0000000200.a1 -o json)";
  show.options = {OneCheckpointOption(&options->word),
                  {"--tensors", &options->tensors, "list the tensors too", false, {}}};
  show.run = [session, options] { return Show(*session, *options); };
  return show;
}

}  // namespace muster::cli
