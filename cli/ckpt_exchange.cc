// `muster ckpt export` and `import`: models to and from Hugging Face folders.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"
#include "interchange/export.h"
#include "interchange/import.h"

namespace muster::cli {
namespace {

struct ExportFlags {
  std::string word;
  std::string folder;
  std::string dtype = "f32";
  std::string data;
  bool no_tokenizer = false;
  uint64_t file_mb = 5000;
};

struct ImportFlags {
  std::string folder;
  std::string root;
  uint64_t context = 0;
};

// Names and texts in foreign folders must not reach the terminal as they are.
absl::Status Safe(const absl::Status& status) {
  return absl::Status(status.code(), Printable(std::string(status.message())));
}

absl::StatusOr<int> Export(Session& session, const ExportFlags& flags) {
  const std::string what = "export " + flags.word;
  if (flags.file_mb == 0) return InvalidArgument("{}: --file-mb must be at least 1", what);
  const auto path = FindOneCheckpoint(session, flags.word);
  if (!path.ok()) return During(what, path.status());
  interchange::ExportOptions options;
  options.dtype = flags.dtype == "bf16" ? checkpoint::DType::kBF16 : checkpoint::DType::kF32;
  options.file_bytes_max = std::min<uint64_t>(flags.file_mb, 1ull << 40) * 1'000'000;
  options.data = flags.data;
  options.with_tokenizer = !flags.no_tokenizer;
  Bar bar;
  const auto report = interchange::ExportLlama(
      *path, flags.folder, options,
      [&](uint64_t done, uint64_t total) { bar.Show("export", done, total); });
  bar.Clear();
  if (!report.ok()) return OfDisk(Safe(report.status()));
  if (session.machine_readable()) {
    PrintJson(session, {{"from", *path},
                        {"folder", flags.folder},
                        {"dtype", flags.dtype},
                        {"tensors", report->tensors},
                        {"parameters", report->parameters},
                        {"files", report->files},
                        {"bytes", report->bytes},
                        {"tokenizer", options.with_tokenizer}});
  } else {
    fmt::print("{}: exported: {} parameters in {}, {} as {} in {}{}\n", flags.folder,
               report->parameters, Counted(report->tensors, "tensor"), BytesText(report->bytes),
               flags.dtype, Counted(report->files, "file"),
               options.with_tokenizer ? "" : ", without tokenizer");
  }
  return kExitOk;
}

absl::StatusOr<int> Import(Session& session, const ImportFlags& flags) {
  interchange::ImportOptions options;
  if (flags.context > 0) options.context = flags.context;
  // It is written into the checkpoint, for whoever looks from another folder.
  std::error_code error;
  const std::string folder = std::filesystem::absolute(flags.folder, error).string();
  Bar bar;
  const auto report = interchange::ImportLlama(
      folder, flags.root, options,
      [&](uint64_t done, uint64_t total) { bar.Show("import", done, total); });
  bar.Clear();
  if (!report.ok()) return OfDisk(Safe(report.status()));
  const interchange::LlamaConfig& config = report->config;
  if (session.machine_readable()) {
    PrintJson(session, {{"from", folder},
                        {"path", report->path},
                        {"tensors", report->tensors},
                        {"parameters", report->parameters},
                        {"tokenizer", report->tokenizer},
                        {"tied", config.tied},
                        {"layers", config.layers},
                        {"d_model", config.d_model},
                        {"heads", config.heads},
                        {"kv_heads", config.kv_heads},
                        {"ffn", config.ffn},
                        {"context", config.context},
                        {"vocab", config.vocab},
                        {"rope_theta", config.rope_theta},
                        {"norm_eps", config.norm_eps}});
    return kExitOk;
  }
  fmt::print(
      "in the job file:\n"
      "  train.model: {{layers: {}, d_model: {}, heads: {}, kv_heads: {}, ffn: {}, context: {}, "
      "rope_theta: {}, norm_eps: {}}}   # vocabulary of the data: {}\n"
      "  checkpoint.init_from: {}\n",
      config.layers, config.d_model, config.heads, config.kv_heads, config.ffn, config.context,
      config.rope_theta, config.norm_eps, config.vocab,
      std::filesystem::absolute(report->path, error).string());
  if (config.tied) {
    fmt::print("the output projection was the embedding; from now on the two are trained apart\n");
  }
  if (report->tokenizer.empty()) {
    fmt::print(
        "its tokenizer is not one that muster data prepare makes: bring tokens of your own\n");
  }
  fmt::print("{}: imported: {} parameters in {}\n", report->path, report->parameters,
             Counted(report->tensors, "tensor"));
  return kExitOk;
}

}  // namespace

Command CkptExportCommand(Session* session) {
  auto flags = std::make_shared<ExportFlags>();
  Command command;
  command.name = "export";
  command.summary = "Write the model as a folder that Hugging Face's tools load";
  command.examples = R"(  muster ckpt export gpt-stdlib out/gpt-stdlib
  muster ckpt export gpt-stdlib@200 out/gpt-200 --dtype bf16
Then in Python: AutoModelForCausalLM.from_pretrained("out/gpt-stdlib"))";
  command.options = {
      OneCheckpointOption(&flags->word),
      {"FOLDER", &flags->folder, "a new folder", true, {}},
      {"--dtype",
       &flags->dtype,
       "f32, or bf16 rounded to nearest even (f32)",
       false,
       {"f32", "bf16"}},
      {"--data", &flags->data, "dataset with the tokenizer (the one trained on)", false, {}},
      {"--no-tokenizer", &flags->no_tokenizer, "leave the tokenizer out", false, {}},
      {"--file-mb", &flags->file_mb, "megabytes of weights in one file (5000)", false, {}}};
  command.run = [session, flags] { return Export(*session, *flags); };
  return command;
}

Command CkptImportCommand(Session* session) {
  auto flags = std::make_shared<ImportFlags>();
  Command command;
  command.name = "import";
  command.summary = "Make a checkpoint of a Hugging Face Llama folder, to train on from";
  command.examples = R"(  muster ckpt import out/gpt-stdlib checkpoints/imported
  muster ckpt import models/llama checkpoints/llama --context 2048
Then in the job file: checkpoint.init_from: checkpoints/imported/step-0000000000.a0)";
  command.options = {
      {"HF_FOLDER", &flags->folder, "with config.json and safetensors", true, {}},
      {"FOLDER", &flags->root, "where the checkpoint's own folder is made", true, {}},
      {"--context",
       &flags->context,
       "tokens in a training sequence (the model's limit)",
       false,
       {}}};
  command.run = [session, flags] { return Import(*session, *flags); };
  return command;
}

}  // namespace muster::cli
