#include "trainer/loop/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "checkpoint/digest.h"
#include "common/duration.h"
#include "common/status.h"

namespace muster::trainer::loop {
namespace {

// Reads values by dotted key and keeps the first problem.
class Reader {
 public:
  Reader(const YAML::Node& root, std::string name) : root_(root), name_(std::move(name)) {}

  const absl::Status& status() const { return status_; }
  const std::string& name() const { return name_; }

  YAML::Node Find(const std::string& key) {
    const std::optional<YAML::Node> node = MaybeFind(key);
    if (node.has_value()) return *node;
    Fail(InvalidArgument("{}: missing {}; complete the file with: muster validate -o yaml {}",
                         name_, key, name_));
    return YAML::Node();
  }

  template <typename T>
  void Read(const std::string& key, const char* wanted, T* value) {
    const YAML::Node node = Find(key);
    if (!status_.ok()) return;
    try {
      *value = node.as<T>();
    } catch (const YAML::Exception&) {
      Fail(InvalidArgument("{}: {} must be {}", name_, key, wanted));
    }
  }

  void Positive(const std::string& key, int* value) {
    Read(key, "a whole number of at least 1", value);
    if (status_.ok() && *value < 1) {
      Fail(InvalidArgument("{}: {} is {}, must be at least 1", name_, key, *value));
    }
  }

  void Number(const std::string& key, double* value) { Read(key, "a number", value); }

  void Count(const std::string& key, uint64_t* value) {
    int64_t signed_value = 0;
    Read(key, "a whole number", &signed_value);
    if (status_.ok() && signed_value < 0) {
      Fail(InvalidArgument("{}: {} is {}, must not be negative", name_, key, signed_value));
    }
    *value = static_cast<uint64_t>(signed_value);
  }

  // A duration that need not be given.
  void MaybeSeconds(const std::string& key, double* seconds) {
    if (!MaybeFind(key).has_value()) return;
    std::string text;
    Read(key, "a duration such as 5m", &text);
    if (!status_.ok()) return;
    const absl::StatusOr<absl::Duration> duration = DurationFromText(text);
    if (duration.ok()) {
      *seconds = absl::ToDoubleSeconds(*duration);
    } else {
      Fail(Annotate(duration.status(), fmt::format("{}: {}", name_, key)));
    }
  }

  void Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

 private:
  std::optional<YAML::Node> MaybeFind(const std::string& key) const {
    YAML::Node node = YAML::Clone(root_);
    std::stringstream parts(key);
    std::string part;
    while (std::getline(parts, part, '.')) {
      if (!node.IsMap() || !node[part].IsDefined()) return std::nullopt;
      node.reset(node[part]);
    }
    return node;
  }

  const YAML::Node root_;
  const std::string name_;
  absl::Status status_;
};

void ReadMesh(Reader* reader, TrainConfig* config) {
  const YAML::Node mesh = reader->Find("mesh");
  if (!reader->status().ok()) return;
  std::string text;
  try {
    for (const auto& axis : mesh) {
      const YAML::Node& size = axis.second.IsMap() ? axis.second["size"] : axis.second;
      text +=
          (text.empty() ? "" : ",") + axis.first.as<std::string>() + "=" + size.as<std::string>();
    }
  } catch (const YAML::Exception&) {
    reader->Fail(InvalidArgument(
        "{}: mesh must name axes and sizes, such as {{data: 2, tensor: 2}}", reader->name()));
    return;
  }
  absl::StatusOr<parallel::Mesh> parsed = parallel::Mesh::Parse(text);
  if (!parsed.ok()) {
    reader->Fail(Annotate(parsed.status(), reader->name()));
  } else {
    config->mesh = *std::move(parsed);
  }
}

void ReadTrain(Reader* reader, TrainConfig* config) {
  parallel::ModelConfig& model = config->model;
  reader->Positive("train.model.layers", &model.layers);
  reader->Positive("train.model.d_model", &model.d_model);
  reader->Positive("train.model.heads", &model.heads);
  reader->Positive("train.model.kv_heads", &model.kv_heads);
  reader->Positive("train.model.ffn", &model.ffn);
  reader->Positive("train.model.context", &model.context);
  reader->Number("train.model.rope_theta", &model.rope_theta);
  reader->Number("train.model.norm_eps", &model.norm_eps);
  reader->Read("train.data.path", "a folder", &config->data_path);
  reader->Positive("train.batch.global", &config->global_batch);
  reader->Positive("train.batch.micro", &config->micro_batch);
  reader->Number("train.optimizer.lr", &config->schedule.lr);
  reader->Count("train.optimizer.warmup_steps", &config->schedule.warmup_steps);
  reader->Number("train.optimizer.min_lr_ratio", &config->schedule.min_lr_ratio);
  reader->Number("train.optimizer.weight_decay", &config->adamw.weight_decay);
  reader->Number("train.optimizer.clip", &config->clip);
  reader->Number("train.optimizer.beta1", &config->adamw.beta1);
  reader->Number("train.optimizer.beta2", &config->adamw.beta2);
  reader->Number("train.optimizer.eps", &config->adamw.eps);
  reader->Count("train.eval.every_steps", &config->eval_every_steps);
  reader->Count("train.eval.samples", &config->eval_samples);
  reader->Count("train.steps", &config->steps);
  reader->Count("train.seed", &config->seed);
  reader->Read("train.collective", "mpi", &config->collective);
  std::string reproducible;
  reader->Read("train.reproducible", "run or layout", &reproducible);
  if (reproducible == "layout") {
    config->reproducible = optim::Reproducible::kLayout;
  } else if (reproducible != "run") {
    reader->Fail(InvalidArgument("{}: train.reproducible is \"{}\", must be run or layout",
                                 reader->name(), reproducible));
  }
  reader->Read("train.zero", "true or false", &config->zero);
  reader->Positive("train.threads_per_rank", &config->threads_per_rank);
  config->schedule.total_steps = config->steps;
}

void CheckTogether(Reader* reader, TrainConfig* config) {
  if (!reader->status().ok()) return;
  if (config->steps == 0) {
    reader->Fail(InvalidArgument("{}: train.steps is 0, must be at least 1", reader->name()));
  }
  if (config->collective != "mpi") {
    reader->Fail(InvalidArgument("{}: train.collective is \"{}\"; this trainer knows: mpi",
                                 reader->name(), config->collective));
  }
  const int data = config->mesh.Size("data");
  const int64_t pass = static_cast<int64_t>(config->micro_batch) * data;
  if (config->global_batch % pass != 0) {
    reader->Fail(InvalidArgument(
        "{}: train.batch.global {} must be a multiple of train.batch.micro {} × mesh.data {} = {}",
        reader->name(), config->global_batch, config->micro_batch, data, pass));
  }
}

}  // namespace

int TrainConfig::MicroBatchesPerRank() const {
  return global_batch / (micro_batch * mesh.Size("data"));
}

absl::StatusOr<TrainConfig> ParseTrainConfig(const std::string& text, const std::string& name) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    return InvalidArgument("{}: line {}: {}", name, error.mark.line + 1, error.msg);
  }
  if (!root.IsMap()) {
    return InvalidArgument("{}: not a job document; see configs/ for complete examples", name);
  }
  TrainConfig config;
  config.digest = checkpoint::Sha256Hex(text);
  Reader reader(root, name);
  reader.Read("name", "a word", &config.name);
  ReadMesh(&reader, &config);
  ReadTrain(&reader, &config);
  reader.Read("checkpoint.path", "a folder", &config.checkpoint_path);
  reader.Count("checkpoint.every_steps", &config.save_every_steps);
  reader.MaybeSeconds("checkpoint.every", &config.save_every_seconds);
  reader.Count("checkpoint.ram_every_steps", &config.ram_every_steps);
  reader.Count("checkpoint.compare_every_steps", &config.compare_every_steps);
  reader.Count("checkpoint.keep_every_steps", &config.keep_every_steps);
  uint64_t keep = 0;
  reader.Count("checkpoint.keep", &keep);
  config.keep = static_cast<uint32_t>(keep);
  uint64_t keep_best = 0;
  reader.Count("checkpoint.keep_best", &keep_best);
  config.keep_best = static_cast<uint32_t>(keep_best);
  reader.Read("checkpoint.init_from", "a checkpoint's folder, or empty", &config.init_from);
  CheckTogether(&reader, &config);
  MUSTER_RETURN_IF_ERROR(reader.status());
  return config;
}

absl::StatusOr<TrainConfig> ReadTrainConfig(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return ErrnoError(errno, "read the job document " + path);
  return ParseTrainConfig(text.str(), path);
}

}  // namespace muster::trainer::loop
