#include "tests/scenarios/words.h"

#include <algorithm>
#include <cctype>

#include "common/duration.h"
#include "spec/defaults.h"

namespace muster::scenarios {
namespace {

// "up", "spawned", "exit:1@5000", "kill:9@5000", "ours", "noexec:text"
void SetFate(v1::RankReport* rank, const std::string& fate) {
  const size_t colon = fate.find(':');
  const size_t at = fate.find('@');
  const std::string how = fate.substr(0, std::min(colon, at));
  const std::string what = colon == std::string::npos ? "" : fate.substr(colon + 1, at - colon - 1);
  if (at != std::string::npos)
    rank->set_exit_unix_us(static_cast<int64_t>(Number(fate.substr(at + 1))));
  if (how == "spawned") return rank->set_state(v1::RANK_STATE_SPAWNED);
  if (how == "up") return rank->set_state(v1::RANK_STATE_RUNNING);
  rank->set_state(v1::RANK_STATE_EXITED);
  if (how == "exit") return rank->set_exit_code(static_cast<int32_t>(Number(what)));
  if (how == "kill") return rank->set_signal(static_cast<int32_t>(Number(what)));
  if (how == "noexec") return rank->set_error(what);
  CHECK(how == "ours", "a rank cannot be \"{}\"", how);
  rank->set_signal(9);
  rank->set_stopped_by_us(true);
}

// still=3s [in=data:7, in=data:7:done or in=data:7:started] [for=3s] [process=T]
void SetStill(const Words& words, v1::RankReport* rank) {
  if (const std::string still = Get(words, "still"); !still.empty()) {
    rank->set_still_ms(absl::ToInt64Milliseconds(DurationFromText(still).value()));
  }
  rank->set_process_state(Get(words, "process"));
  const std::string in = Get(words, "in");
  if (in.empty()) return;
  const Words parts = List(in, ':');
  v1::CollectiveSeen* seen = rank->add_collectives();
  seen->set_operation("all-reduce");
  seen->set_group(parts.at(0));
  seen->set_sequence(Number(parts.at(1)));
  seen->set_done(parts.size() > 2 && parts[2] == "done");
  seen->set_started(parts.size() > 2 && parts[2] == "started");
  if (const std::string age = Get(words, "for"); !age.empty()) {
    seen->set_age_seconds(absl::ToDoubleSeconds(DurationFromText(age).value()));
  }
}

// storage="no space left", slots="no memory": what keeps the rank from saving
void AddTroubles(const Words& words, v1::RankReport* rank) {
  const auto add = [&](v1::SaveTroubleKind kind, const char* key) {
    const std::string text = Get(words, key);
    if (text.empty()) return;
    v1::SaveTrouble* trouble = rank->add_save_troubles();
    trouble->set_kind(kind);
    trouble->set_step(rank->progress().step());
    trouble->set_text(text);
  };
  add(v1::SAVE_TROUBLE_KIND_STORAGE, "storage");
  add(v1::SAVE_TROUBLE_KIND_NO_SLOTS, "slots");
}

// "rack" → DOMAIN_RACK, with that prefix; CHECK when there is none.
template <typename Enum, typename Parse>
Enum EnumOf(const std::string& prefix, const std::string& word, Parse parse) {
  std::string name = prefix;
  for (const char letter : word) name += static_cast<char>(std::toupper(letter));
  Enum value;
  CHECK(parse(name, &value), "there is no {}", name);
  return value;
}

v1::Domain DomainOf(const std::string& word) {
  return EnumOf<v1::Domain>("DOMAIN_", word, v1::Domain_Parse);
}

// "prep:ended,3": the event is "succeeded" when not said.
void ParseAfter(const std::string& text, v1::ScheduleSpec* schedule) {
  if (text.empty()) return;
  for (const std::string& part : List(text)) {
    const Words both = List(part, ':');
    v1::Dependency* after = schedule->add_after();
    after->set_job(both[0]);
    if (both.size() == 1) continue;
    after->set_when(EnumOf<v1::AfterEvent>("AFTER_EVENT_", both[1], v1::AfterEvent_Parse));
  }
}

void ParseSchedule(const Words& words, v1::ScheduleSpec* schedule) {
  schedule->set_queue(Get(words, "queue"));
  schedule->set_priority(std::stoi(Get(words, "priority", "0")));
  schedule->set_hold(Has(words, "hold"));
  if (Has(words, "never-preempt")) schedule->set_preemptible(false);
  if (const std::string grace = Get(words, "grace"); !grace.empty()) {
    schedule->mutable_preempt_grace()->set_seconds(
        absl::ToInt64Seconds(DurationFromText(grace).value()));
  }
  if (const std::string limit = Get(words, "limit"); !limit.empty()) {
    schedule->mutable_time_limit()->set_seconds(
        absl::ToInt64Seconds(DurationFromText(limit).value()));
  }
  ParseAfter(Get(words, "after"), schedule);
  if (const std::string array = Get(words, "array"); !array.empty()) {
    schedule->mutable_array()->set_count(static_cast<uint32_t>(Number(array)));
    schedule->mutable_array()->set_at_once(
        static_cast<uint32_t>(Number(Get(words, "at_once", "0"))));
  }
}

void FillTraining(const Words& words, v1::TrainSpec* train) {
  train->set_steps(Number(Get(words, "steps", "100")));
  v1::ModelSpec* model = train->mutable_model();
  model->set_layers(2);
  model->set_d_model(64);
  model->set_heads(8);
  model->set_ffn(128);
  model->set_context(64);
  train->mutable_data()->set_path("/data");
  train->mutable_batch()->set_global(static_cast<uint32_t>(Number(Get(words, "batch", "48"))));
  train->mutable_batch()->set_micro(1);
  train->mutable_optimizer()->set_lr(1e-3);
}

}  // namespace

// "a b="c d"" → {a, b=c d}
Words Split(const std::string& line) {
  Words words;
  std::string word;
  bool quoted = false, any = false;
  for (const char letter : line) {
    if (letter == '"') {
      quoted = !quoted;
      any = true;
    } else if (letter == ' ' && !quoted) {
      if (any) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += letter;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

// The value of `key=...`, or the fallback.
std::string Get(const Words& words, const std::string& key, const std::string& fallback) {
  for (const std::string& word : words) {
    if (word.compare(0, key.size() + 1, key + "=") == 0) return word.substr(key.size() + 1);
  }
  return fallback;
}

bool Has(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

uint64_t Number(const std::string& text) { return std::stoull(text); }

Words List(const std::string& text, char separator) {
  Words parts(1);
  for (const char letter : text) {
    if (letter == separator) {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  return parts;
}

// JOB.ATTEMPT [0-1=FATE ...] [phase= step= first= of= spent= line=] [told=] [memory] [stopped]
v1::AttemptReport ParseReport(const Words& words, uint64_t update) {
  v1::AttemptReport report;
  SetKey(&report, words.at(0));
  report.set_state(Has(words, "stopped") ? v1::LOCAL_ATTEMPT_STATE_STOPPED
                                         : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  report.set_save(Number(Get(words, "told", "0")));
  v1::Progress progress;
  if (const std::string step = Get(words, "step"); !step.empty()) {
    progress.set_step(Number(step));
    progress.set_first_step(Number(Get(words, "first", "0")));
    progress.set_from_memory(Has(words, "memory"));
    progress.set_target_steps(Number(Get(words, "of", "0")));
    progress.set_productive_seconds(std::stod(Get(words, "spent", "0")));
    progress.set_loss(2.5);
    progress.set_tokens_per_second(1000);
    progress.set_updates(update);
    progress.set_phase(v1::PHASE_STEP);
  }
  if (const std::string phase = Get(words, "phase"); !phase.empty()) {
    v1::Phase parsed;
    CHECK(v1::Phase_Parse("PHASE_" + phase, &parsed), "there is no phase {}", phase);
    progress.set_phase(parsed);
    progress.set_updates(update);
  }
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos || words[i][0] < '0' || words[i][0] > '9') continue;
    const std::string range = words[i].substr(0, equals);
    const size_t dash = range.find('-');
    const uint64_t first = Number(range.substr(0, dash));
    const uint64_t last = dash == std::string::npos ? first : Number(range.substr(dash + 1));
    for (uint64_t number = first; number <= last; ++number) {
      v1::RankReport* rank = report.add_ranks();
      rank->set_rank(static_cast<uint32_t>(number));
      *rank->mutable_progress() = progress;
      SetFate(rank, words[i].substr(equals + 1));
      SetStill(words, rank);
      AddTroubles(words, rank);
      if (const std::string line = Get(words, "line"); !line.empty()) rank->add_last_lines(line);
    }
  }
  return report;
}

void ParseMesh(const std::string& text, google::protobuf::RepeatedPtrField<v1::Axis>* mesh) {
  for (std::string axis : List(text)) {
    v1::Axis* added = mesh->Add();
    if (const size_t at = axis.find('@'); at != std::string::npos) {
      added->set_within(DomainOf(axis.substr(at + 1)));
      axis.erase(at);
    }
    added->set_name(axis.substr(0, axis.find(':')));
    const Words sizes = List(axis.substr(axis.find(':') + 1), ':');
    added->set_size(static_cast<uint32_t>(Number(sizes[0])));
    if (sizes.size() > 1) added->set_min(static_cast<uint32_t>(Number(sizes[1])));
  }
}

namespace {

// "rack" or "data:rack:2"
void ParseSpread(const std::string& text, v1::SpreadSpec* spread) {
  const Words parts = List(text, ':');
  spread->set_axis(parts.at(0));
  spread->set_across(DomainOf(parts.at(1)));
  if (parts.size() > 2) spread->set_at_least(static_cast<uint32_t>(Number(parts[2])));
}

void ParsePlacement(const Words& words, v1::JobSpec* spec) {
  spec->mutable_resources()->set_exclusive(Has(words, "exclusive"));
  spec->mutable_resources()->set_device(Get(words, "device"));
  v1::PlacementSpec* placement = spec->mutable_placement();
  if (const std::string select = Get(words, "select"); !select.empty()) {
    ParseLabels(select, placement->mutable_select());
  }
  if (const std::string nodes = Get(words, "exclude"); !nodes.empty()) {
    placement->add_exclude(nodes);
  }
  if (const std::string taints = Get(words, "tolerate"); !taints.empty()) {
    for (const std::string& taint : List(taints)) placement->add_tolerate(taint);
  }
  if (const std::string spread = Get(words, "spread"); !spread.empty()) {
    ParseSpread(spread, placement->mutable_spread());
  }
  v1::RecoverySpec* recovery = spec->mutable_recovery();
  recovery->set_hot_spares(static_cast<uint32_t>(Number(Get(words, "spares", "0"))));
  recovery->set_lend_spares(Has(words, "lend"));
  if (const std::string hang = Get(words, "hang"); !hang.empty()) {
    recovery->mutable_hang_after()->set_seconds(
        absl::ToInt64Seconds(DurationFromText(hang).value()));
  }
}

}  // namespace

void ParseLabels(const std::string& text, google::protobuf::RepeatedPtrField<v1::Label>* labels) {
  for (const std::string& label : List(text)) {
    v1::Label* added = labels->Add();
    added->set_name(label.substr(0, label.find(':')));
    added->set_value(label.substr(label.find(':') + 1));
  }
}

void ParseSpec(const Words& words, v1::JobSpec* spec) {
  const bool program = Has(words, "program");
  *spec = program ? spec::DefaultProgramJob() : spec::DefaultTrainJob();
  spec->set_name(words.size() > 1 ? words[1] : "x");
  ParseMesh(Get(words, "mesh", "data:1"), spec->mutable_mesh());
  spec->mutable_resources()->set_slots_per_rank(
      static_cast<uint32_t>(Number(Get(words, "slots", "1"))));
  if (program) {
    spec->mutable_program()->add_command("true");
  } else {
    FillTraining(words, spec->mutable_train());
    spec::FillDerived(spec);
  }
  spec->mutable_recovery()->set_attempts_without_progress(
      static_cast<uint32_t>(Number(Get(words, "tries", "3"))));
  ParsePlacement(words, spec);
  ParseSchedule(words, spec->mutable_schedule());
}

v1::QueueSpec ParseQueue(const Words& words) {
  v1::QueueSpec spec;
  spec.set_name(words.at(1));
  spec.set_priority(std::stoi(Get(words, "priority", "0")));
  spec.set_weight(std::stod(Get(words, "weight", "1")));
  spec.set_quota(static_cast<uint32_t>(Number(Get(words, "quota", "0"))));
  if (const std::string limit = Get(words, "limit"); !limit.empty()) {
    spec.set_limit(static_cast<uint32_t>(Number(limit)));
  }
  if (const std::string limit = Get(words, "user_limit"); !limit.empty()) {
    spec.set_user_limit(static_cast<uint32_t>(Number(limit)));
  }
  return spec;
}

v1::CheckpointRef ParseRef(const Words& words) {
  v1::CheckpointRef ref;
  ref.set_step(Number(Get(words, "step")));
  ref.set_attempt(Number(Get(words, "by", words.at(2).substr(words.at(2).find('.') + 1))));
  ref.set_manifest_sha256(Get(words, "sha", "aa"));
  ref.set_bytes(12'300'000);
  return ref;
}

}  // namespace muster::scenarios
