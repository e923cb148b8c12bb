#include "rank/checkpoint/program_checkpoints.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>
#include <utility>

#include "checkpoint/shard.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "rank/checkpoint/fingerprints.h"

namespace muster::rank {
namespace {

using nlohmann::json;

// So a step that suddenly takes a second is noticed within a minute.
constexpr double kLookStepsMax = 64;
// Between two tries of the last save.
constexpr double kAgainSeconds = 2;
// Where the program's own text stands among what a checkpoint carries along.
constexpr char kProgram[] = "program";

// FNV-1a: told to the others, never kept.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

std::string StateOf(const checkpoint::RunState& run) {
  const json extra = json::parse(run.extra_json, nullptr, /*allow_exceptions=*/false);
  return extra.is_object() && extra.contains(kProgram) ? extra[kProgram].dump() : "{}";
}

}  // namespace

ProgramCheckpoints::ProgramCheckpoints(ProgramOptions options, Group& group, SaveLink* link,
                                       Console console, checkpoint::FileSystem& files)
    : options_(std::move(options)),
      group_(group),
      link_(link),
      console_(std::move(console)),
      files_(files),
      durable_cadence_(options_.job.every_steps, options_.job.every_seconds),
      ram_cadence_(options_.job.ram_every_steps) {}

ProgramCheckpoints::~ProgramCheckpoints() = default;

absl::Status ProgramCheckpoints::Start() {
  const JobSettings& job = options_.job;
  MUSTER_ASSIGN_OR_RETURN(const std::string folder, FromFirst(group_, job.checkpoints));
  absl::Status same;
  if (folder != job.checkpoints) {
    same = InvalidArgument("checkpoints go to \"{}\" here, to \"{}\" on rank 0", job.checkpoints,
                           folder);
  }
  MUSTER_RETURN_IF_ERROR(Agree(group_, same));
  if (!on()) return absl::OkStatus();
  if (job.attempt.has_value()) {
    attempt_ = *job.attempt;
  } else {
    MUSTER_ASSIGN_OR_RETURN(attempt_, NextAttempt(job.checkpoints, group_, files_));
  }
  slots_ = std::make_unique<RankSlots>(
      job.vault, checkpoint::SlotId{job.job_uid, 0, 0, static_cast<uint32_t>(group_.rank()),
                                    static_cast<uint32_t>(group_.size())});
  SaverOptions how;
  how.root = job.checkpoints;
  how.job_uid = job.job_uid;
  how.attempt = attempt_;
  how.keep = job.keep;
  how.keep_every = job.keep_every_steps;
  how.keep_best = job.keep_best;
  how.patience_seconds = options_.save_patience_seconds;
  saver_ = std::make_unique<CheckpointSaver>(how, group_, *slots_, link_, console_, files_);
  return absl::OkStatus();
}

absl::Status ProgramCheckpoints::Add(Region region) {
  const Section& section = region.section;
  if (loaded_) {
    return FailedPrecondition("region {}: added after load; add all of them before",
                              section.box.tensor);
  }
  MUSTER_RETURN_IF_ERROR(Annotate(checkpoint::ValidateBox(section.box), "region"));
  for (const Region& other : regions_) {
    if (other.section.box == section.box) {
      return InvalidArgument("region {}: added twice", checkpoint::BoxText(section.box));
    }
  }
  regions_.push_back(std::move(region));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Resumed>> ProgramCheckpoints::LoadNewest() {
  ResumeRequest request;
  request.root = options_.job.checkpoints;
  request.permitted = options_.job.permitted;
  request.init_from = options_.job.init_from;
  request.attempt = attempt_;
  request.requests = [this](const checkpoint::Manifest&, bool) {
    std::vector<checkpoint::Request> requests;
    for (const Region& region : regions_) {
      requests.push_back({region.section.box, region.section.bytes});
    }
    return requests;
  };
  request.check = [this](const checkpoint::Manifest& manifest) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const Fingerprints whole, WholeFingerprints(owned_, group_));
    return CheckFingerprints(manifest.run.extra_json, whole);
  };
  return Resume(request, *slots_, group_, console_, files_);
}

absl::StatusOr<ProgramCheckpoints::Loaded> ProgramCheckpoints::Load() {
  MUSTER_RETURN_IF_ERROR(
      Agree(group_, loaded_ ? FailedPrecondition("load: it was done before") : absl::OkStatus()));
  const Stopwatch watch;
  MUSTER_ASSIGN_OR_RETURN(owned_, ChooseWriters(regions_, group_));
  Loaded loaded;
  if (on()) {
    MUSTER_ASSIGN_OR_RETURN(std::optional<Resumed> resumed, LoadNewest());
    std::vector<checkpoint::Box> boxes;
    for (const Section& section : owned_) boxes.push_back(section.box);
    const auto writer = checkpoint::WriterName(static_cast<uint64_t>(group_.rank()));
    const absl::StatusOr<checkpoint::ShardLayout> layout = checkpoint::LayOutShard(writer, boxes);
    MUSTER_RETURN_IF_ERROR(Agree(group_, layout.status()));
    MUSTER_RETURN_IF_ERROR(ReserveBeside(resumed, *layout, group_, *slots_, *saver_));
    if (resumed.has_value()) {
      const checkpoint::Manifest& manifest = resumed->manifest;
      loaded.step = manifest.step;
      loaded.state = StateOf(manifest.run);
      unsaved_ = !resumed->on_storage;
      if (!unsaved_ && !resumed->from_init) loaded_step_ = manifest.step;
      facts_.from_memory = resumed->from_memory;
      went_on_from_ = std::move(resumed->slots);
      if (group_.first()) {
        console_.out(fmt::format("resumed from step {} ({})", manifest.step, WhereFrom(*resumed)));
      }
    }
  }
  loaded_ = true;
  state_ = loaded.state;
  facts_.step = facts_.first_step = looked_step_ = loaded.step;
  facts_.load_seconds = watch.Seconds();
  durable_cadence_.NoteBegun(Now());
  ram_cadence_.NoteBegun(loaded.step);
  step_watch_ = Stopwatch();
  return loaded;
}

absl::Status ProgramCheckpoints::CheckStep(uint64_t step, const std::string& state) const {
  if (!loaded_) return FailedPrecondition("step {}: load comes first", step);
  if (copying_) {
    return FailedPrecondition(
        "step {}: the regions of step {} were still being copied; call wait before they change",
        step, facts_.step);
  }
  if (step <= facts_.step) {
    return InvalidArgument("step {} after step {}: steps go up", step, facts_.step);
  }
  if (state.size() > kStateBytesMax) {
    return InvalidArgument(
        "step {}: a state text of {} bytes; at most {}, larger things are regions", step,
        state.size(), kStateBytesMax);
  }
  if (!json::parse(state, nullptr, /*allow_exceptions=*/false).is_object()) {
    return InvalidArgument("step {}: the state text is not a JSON object", step);
  }
  return absl::OkStatus();
}

checkpoint::RunState ProgramCheckpoints::RunStateNow() const {
  checkpoint::RunState run;
  run.layout =
      options_.job.mesh.empty() ? fmt::format("ranks={}", group_.size()) : options_.job.mesh;
  run.config_digest = options_.job.digest;
  run.extra_json =
      json{{kProgram, json::parse(state_, nullptr, /*allow_exceptions=*/false)}}.dump();
  return run;
}

bool ProgramCheckpoints::LooksAt(uint64_t step) const {
  if (saver_ == nullptr) return link_ != nullptr && step >= looked_step_ + look_every_;
  return step >= looked_step_ + look_every_ || durable_cadence_.Due(step, false) ||
         (ram_cadence_.Due(step) && saver_->CanSaveInRam());
}

absl::Status ProgramCheckpoints::Step(uint64_t step, const std::string& state) {
  MUSTER_RETURN_IF_ERROR(CheckStep(step, state));
  const double seconds = std::max(0.0, step_watch_.Seconds() - waited_seconds_);
  const Stopwatch watch;
  const uint64_t steps = step - facts_.step;
  waited_seconds_ = 0;
  since_look_seconds_ += seconds;
  facts_.step = step;
  facts_.step_seconds = seconds / static_cast<double>(steps);
  facts_.productive_seconds += seconds;
  state_ = state;
  ForgetResumes(&went_on_from_, options_.job.vault.replicated);
  if (LooksAt(step)) {
    MUSTER_RETURN_IF_ERROR(Look(since_look_seconds_ / static_cast<double>(step - looked_step_)));
    looked_step_ = step;
    since_look_seconds_ = 0;
    if (saver_ != nullptr) MUSTER_RETURN_IF_ERROR(MaybeSave());
  }
  facts_.checkpoint_seconds += watch.Seconds();
  step_watch_ = Stopwatch();
  return absl::OkStatus();
}

absl::Status ProgramCheckpoints::Look(double step_seconds) {
  StepReport report;
  report.step = facts_.step;
  report.state = HashOf(state_);
  report.seconds = step_seconds;
  report.time_is_up = durable_cadence_.TimeIsUp(Now());
  if (link_ != nullptr) {
    report.stop = link_->WantedStop();
    report.save = link_->WantedSave();
  }
  if (saver_ != nullptr) {
    report.written = saver_->WrittenStep();
    report.fill = saver_->ReportFill();
  }
  MUSTER_ASSIGN_OR_RETURN(const StepSummary summary, ExchangeReports(group_, report));
  stop_ = summary.stop;
  asked_.Take(summary.save);
  time_is_up_ = summary.time_is_up;
  look_every_ = 1;
  if (summary.seconds < options_.look_seconds) {
    look_every_ = static_cast<uint64_t>(std::clamp(
        std::ceil(options_.look_seconds / std::max(summary.seconds, 1e-9)), 1.0, kLookStepsMax));
  }
  if (saver_ == nullptr) return absl::OkStatus();
  saver_->TakeFills(summary.fill);
  ram_cadence_.Take(summary.seconds, summary.fill.seconds);
  if (summary.written) MUSTER_RETURN_IF_ERROR(saver_->Finish());
  saver_->Poll();
  return absl::OkStatus();
}

absl::Status ProgramCheckpoints::MaybeSave() {
  if (asked_.TakeFailure(saver_->failed_step())) durable_cadence_.NoteAskedFailed(Now());
  save_due_ |= durable_cadence_.Due(facts_.step, time_is_up_) || asked_.Due();
  if (stop_) return absl::OkStatus();  // finish saves it
  if (save_due_) {
    MUSTER_ASSIGN_OR_RETURN(const bool room, saver_->MakeRoom(facts_.step));
    if (room) {
      save_due_ = false;
      constexpr uint64_t kNoEnd = ~0ull;
      const std::string next = durable_cadence_.NextTry(facts_.step, kNoEnd, asked_.Open());
      asked_.NoteBegun(facts_.step);
      return BeginSave(next);
    }
  }
  if (ram_cadence_.Due(facts_.step) && saver_->CanSaveInRam()) {
    saver_->BeginInRam(facts_.step, RunStateNow(), owned_);
    ram_cadence_.NoteBegun(facts_.step);
    copying_ = true;
  }
  return absl::OkStatus();
}

absl::Status ProgramCheckpoints::BeginSave(const std::string& next) {
  checkpoint::RunState run = RunStateNow();
  MUSTER_ASSIGN_OR_RETURN(const Fingerprints whole, WholeFingerprints(owned_, group_));
  run.extra_json = WithFingerprints(run.extra_json, whole);
  MUSTER_RETURN_IF_ERROR(saver_->Begin(facts_.step, run, owned_, next));
  begun_step_ = facts_.step;
  durable_cadence_.NoteBegun(Now());
  ram_cadence_.NoteBegun(facts_.step);
  copying_ = true;
  return absl::OkStatus();
}

void ProgramCheckpoints::Wait() {
  if (!copying_) return;
  const Stopwatch watch;
  saver_->WaitCopied();
  copying_ = false;
  waited_seconds_ += watch.Seconds();
  facts_.checkpoint_seconds += watch.Seconds();
}

absl::StatusOr<bool> ProgramCheckpoints::SaveForSure(double seconds) {
  const Stopwatch watch;
  const uint64_t step = facts_.step;
  if (step == 0 || (step == facts_.first_step && !unsaved_)) return true;
  while (true) {
    if (begun_step_ != step && loaded_step_ != step) {
      MUSTER_RETURN_IF_ERROR(BeginSave("trying again"));
    }
    MUSTER_RETURN_IF_ERROR(saver_->FinishAll());
    MUSTER_ASSIGN_OR_RETURN(const bool committed,
                            saver_->Settle(step, std::max(1.0, seconds - watch.Seconds())));
    if (committed) return true;
    begun_step_ = 0;
    char again = watch.Seconds() < seconds ? 1 : 0;
    MUSTER_RETURN_IF_ERROR(group_.Broadcast(std::as_writable_bytes(std::span(&again, 1)), 0));
    if (again == 0) return false;
    std::this_thread::sleep_for(std::chrono::duration<double>(
        std::min(kAgainSeconds, std::max(0.0, seconds - watch.Seconds()))));
  }
}

absl::Status ProgramCheckpoints::Finish() {
  MUSTER_RETURN_IF_ERROR(
      Agree(group_, loaded_ ? absl::OkStatus() : FailedPrecondition("finish: load comes first")));
  if (saver_ == nullptr) return absl::OkStatus();
  const Stopwatch watch;
  const double seconds = stop_ ? options_.stop_save_seconds : options_.final_save_seconds;
  MUSTER_ASSIGN_OR_RETURN(const bool committed, SaveForSure(seconds));
  copying_ = false;
  facts_.checkpoint_seconds += watch.Seconds();
  if (committed) return absl::OkStatus();
  return absl::DeadlineExceededError(
      fmt::format("the last checkpoint (step {}) could not be committed in {:.0f} s; make room in "
                  "{} and resume the job",
                  facts_.step, seconds, options_.job.checkpoints));
}

}  // namespace muster::rank
