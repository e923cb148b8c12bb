#include "rank/checkpoint/job_settings.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "checkpoint/digest.h"
#include "common/duration.h"
#include "common/status.h"

namespace muster::rank {
namespace {

using nlohmann::json;

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return ErrnoError(errno, "read " + path);
  return text.str();
}

// Takes keys of the document's `checkpoint`, and keeps the first problem.
class Section {
 public:
  Section(const json& values, const std::string& file) : values_(values), file_(file) {}

  template <typename Number>
  void Count(const char* key, Number* value) {
    const auto found = values_.find(key);
    if (found == values_.end()) return;
    if (!found->is_number_unsigned()) return Fail(key, "a whole number");
    *value = found->get<Number>();
  }
  void Text(const char* key, std::string* value) {
    const auto found = values_.find(key);
    if (found == values_.end()) return;
    if (!found->is_string()) return Fail(key, "a text");
    *value = found->get<std::string>();
  }
  void Seconds(const char* key, double* value) {
    std::string text;
    Text(key, &text);
    if (text.empty()) return;
    const absl::StatusOr<absl::Duration> duration = DurationFromText(text);
    if (!duration.ok()) return Fail(key, "a duration such as 5m");
    *value = absl::ToDoubleSeconds(*duration);
  }
  const absl::Status& status() const { return status_; }

 private:
  void Fail(const char* key, const char* wanted) {
    if (!status_.ok()) return;
    status_ = InvalidArgument(
        "{}: checkpoint.{} must be {}; complete the file with: muster "
        "validate -o json",
        file_, key, wanted);
  }

  const json& values_;
  const std::string& file_;
  absl::Status status_;
};

absl::Status ReadDocument(const std::string& path, JobSettings* settings) {
  MUSTER_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  settings->digest = checkpoint::Sha256Hex(text);
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return InvalidArgument("{}: not a job document in JSON", path);
  const json values = document.value("checkpoint", json::object());
  if (!values.is_object()) return InvalidArgument("{}: checkpoint must be a section", path);
  Section section(values, path);
  section.Count("every_steps", &settings->every_steps);
  section.Seconds("every", &settings->every_seconds);
  section.Count("ram_every_steps", &settings->ram_every_steps);
  section.Count("keep", &settings->keep);
  section.Count("keep_every_steps", &settings->keep_every_steps);
  section.Count("keep_best", &settings->keep_best);
  section.Text("init_from", &settings->init_from);
  return section.status();
}

uint64_t NumberOf(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

}  // namespace

std::string OfEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<JobSettings> ReadJobSettings(const Variables& variables) {
  JobSettings settings;
  settings.checkpoints = variables("MUSTER_CHECKPOINTS");
  if (settings.checkpoints.empty()) return settings;
  if (const std::string uid = variables("MUSTER_JOB_UID"); !uid.empty()) settings.job_uid = uid;
  if (const std::string attempt = variables("MUSTER_ATTEMPT"); !attempt.empty()) {
    settings.attempt = NumberOf(attempt);
  }
  settings.mesh = variables("MUSTER_MESH");
  settings.vault.folder = variables("MUSTER_VAULT");
  settings.vault.bytes = NumberOf(variables("MUSTER_VAULT_BYTES"));
  settings.vault.since = NumberOf(variables("MUSTER_VAULT_SINCE"));
  settings.vault.worker_drains = variables("MUSTER_VAULT_DRAINS") == "1";
  settings.vault.replicated = variables("MUSTER_VAULT_REPLICATED") == "1";
  if (const std::string path = variables("MUSTER_RESUME_FILE"); !path.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
    MUSTER_ASSIGN_OR_RETURN(settings.permitted, checkpoint::ParsePermitted(text));
  }
  if (const std::string path = variables("MUSTER_JOB_FILE"); !path.empty()) {
    MUSTER_RETURN_IF_ERROR(ReadDocument(path, &settings));
  }
  return settings;
}

}  // namespace muster::rank
