#include "trainer/loop/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <thread>

#include "checkpoint/store.h"
#include "common/status.h"
#include "dataset/dataset.h"
#include "rank/checkpoint/agree.h"
#include "rank/checkpoint/asked_save.h"
#include "rank/checkpoint/checkpoint_saver.h"
#include "rank/checkpoint/ram_cadence.h"
#include "rank/checkpoint/resume.h"
#include "rank/checkpoint/save_cadence.h"
#include "rank/checkpoint/stopwatch.h"
#include "trainer/collective/noted.h"
#include "trainer/data/batches.h"
#include "trainer/kernels/cpu/aligned_floats.h"
#include "trainer/kernels/cpu/flush_denormals.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/loop/evaluation.h"
#include "trainer/loop/model_json.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/loop/replica_check.h"
#include "trainer/loop/resume_request.h"
#include "trainer/loop/run_counters.h"
#include "trainer/loop/status_page.h"
#include "trainer/loop/step_report.h"
#include "trainer/loop/weight_fingerprints.h"
#include "trainer/model/init.h"
#include "trainer/model/model.h"
#include "trainer/optim/gradient_norm.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"

namespace muster::trainer::loop {
namespace {

// Data up to this size is read and compared with its digests at every start (about a second).
constexpr uint64_t kVerifyTokensMax = 512ull << 20;

class Training {
 public:
  Training(const TrainingOptions& options, collective::Collective& world, RankLink* link,
           checkpoint::FileSystem& files)
      : options_(options),
        config_(options.config),
        link_(link),
        noted_world_(collective::NotedBeside(world, ring(), MUSTER_GROUP_WORLD)),
        world_(noted_world_ == nullptr ? world : *noted_world_),
        files_(files),
        page_(link),
        durable_cadence_(config_.save_every_steps, config_.save_every_seconds),
        ram_cadence_(config_.ram_every_steps) {}

  absl::Status SetUp();
  absl::Status Start();
  absl::StatusOr<TrainingResult> Run();

 private:
  absl::Status OpenData();
  absl::Status MakeModel();
  absl::Status ChooseAttempt();
  // Whatever there is to go on from, newest first: RAM, storage.
  absl::StatusOr<std::optional<rank::Resumed>> Load();
  absl::Status TakeOver(const rank::Resumed& resumed);
  absl::Status Step();
  absl::Status Evaluate();
  checkpoint::RunState StateOfRun() const {
    return RunStateOf(run_, config_, model_config_, batches_->dataset().info());
  }
  absl::Status BeginSave(const std::string& next);
  void MaybeSaveInRam();
  std::vector<rank::Section> Owned() {
    return OwnedSections(model_->table(), plan_, params_.span(), *optimizer_);
  }
  absl::Status FinishSaves(bool all);
  double WaitCopied();  // the seconds it took
  // Saves and waits for the commit, again and again for at most `seconds`.
  absl::StatusOr<bool> SaveForSure(double seconds);
  // Between saves: in the step after every compare_every_steps, before the weights change.
  bool ComparesReplicas() const {
    const uint64_t every = config_.compare_every_steps;
    return every > 0 && step_ % every == 0 && groups_.data->size() > 1;
  }

  collective::CollectiveRing* ring() const { return link_ == nullptr ? nullptr : link_->ring(); }
  bool last() const { return step_ >= config_.steps; }
  double Now() const { return options_.seconds ? options_.seconds() : clock_.Seconds(); }
  const rank::Console& console() const { return options_.console; }
  void Say(const std::string& line) const {
    if (groups_.first()) console().out(line);
  }

  const TrainingOptions& options_;
  const TrainConfig& config_;
  RankLink* link_;
  const std::unique_ptr<collective::Collective> noted_world_;  // null when nobody reads notes
  collective::Collective& world_;
  checkpoint::FileSystem& files_;
  StatusPage page_;
  const rank::Stopwatch clock_;

  RankGroups groups_;
  std::unique_ptr<data::Batches> batches_;
  parallel::ModelConfig model_config_;
  std::unique_ptr<model::Model> model_;
  optim::ShardPlan plan_;
  kernels::cpu::AlignedFloats params_;
  std::unique_ptr<optim::GradientReducer> reducer_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<rank::RankSlots> slots_;
  std::vector<rank::OfferedSlot> went_on_from_;  // until a step beyond it is finished
  std::unique_ptr<rank::CheckpointSaver> saver_;
  rank::SaveCadence durable_cadence_;
  rank::RamCadence ram_cadence_;

  uint64_t attempt_ = 1;
  uint64_t step_ = 0;  // finished
  RunCounters run_;
  uint64_t first_step_ = 0;
  uint64_t loaded_step_ = 0;  // this job's own checkpoint it went on from
  bool unsaved_ = false;      // it went on from a step that storage may not have
  uint64_t begun_step_ = 0;   // of the newest save
  bool all_written_ = false;  // of the oldest save on its way, by every rank
  bool save_due_ = false;     // a save waits for room
  bool stop_ = false;
  bool time_is_up_ = false;  // for the next durable save
  rank::AskedSave asked_;
  double step_seconds_ = 0;
  double loss_ = 0;
};

absl::Status Training::SetUp() {
  kernels::cpu::FlushDenormals();
  page_.fields.target_steps = config_.steps;
  page_.Enter(MUSTER_PHASE_INIT);
  MUSTER_RETURN_IF_ERROR(rank::Agree(
      world_, link_ == nullptr ? absl::OkStatus() : link_->Hello(world_.rank(), world_.size())));
  absl::StatusOr<RankGroups> groups = MakeRankGroups(config_.mesh, world_, ring());
  MUSTER_RETURN_IF_ERROR(rank::Agree(world_, groups.status()));
  groups_ = *std::move(groups);
  MUSTER_RETURN_IF_ERROR(rank::Agree(world_, OpenData()));
  MUSTER_RETURN_IF_ERROR(rank::Agree(world_, MakeModel()));
  return ChooseAttempt();
}

absl::Status Training::OpenData() {
  MUSTER_ASSIGN_OR_RETURN(batches_, data::Batches::Open(config_.data_path, config_.model.context,
                                                        config_.micro_batch, config_.seed));
  const dataset::DatasetInfo& info = batches_->dataset().info();
  if (options_.verify_data && info.train.tokens + info.held_out.tokens <= kVerifyTokensMax) {
    MUSTER_RETURN_IF_ERROR(batches_->dataset().VerifyDigests());
  }
  model_config_ = config_.model;
  model_config_.vocab = static_cast<int>(info.vocab_size);
  return absl::OkStatus();
}

absl::Status Training::MakeModel() {
  MUSTER_ASSIGN_OR_RETURN(
      model_, model::Model::Create(model_config_, config_.micro_batch, groups_.tensor.get()));
  const parallel::ParameterTable& table = model_->table();
  plan_ = optim::PlanShards(table, groups_.data->rank(), groups_.data->size());
  params_ = kernels::cpu::AlignedFloats(table.size);
  MUSTER_ASSIGN_OR_RETURN(
      reducer_, optim::GradientReducer::Create(table, plan_, *groups_.data, config_.reproducible,
                                               config_.MicroBatchesPerRank(), !config_.zero));
  optimizer_ =
      std::make_unique<optim::Optimizer>(config_.adamw, table, plan_, *groups_.data, config_.zero);
  return absl::OkStatus();
}

absl::Status Training::ChooseAttempt() {
  if (options_.attempt.has_value()) {
    attempt_ = *options_.attempt;
  } else {
    MUSTER_ASSIGN_OR_RETURN(attempt_, rank::NextAttempt(options_.checkpoints, world_, files_));
  }
  slots_ = std::make_unique<rank::RankSlots>(
      options_.vault,
      checkpoint::SlotId{options_.job_uid, 0, 0, static_cast<uint32_t>(world_.rank()),
                         static_cast<uint32_t>(world_.size())});
  rank::SaverOptions how;
  how.root = options_.checkpoints;
  how.job_uid = options_.job_uid;
  how.attempt = attempt_;
  how.keep = config_.keep;
  how.keep_every = config_.keep_every_steps;
  how.keep_best = config_.keep_best;
  how.patience_seconds = options_.save_patience_seconds;
  if (options_.fail.has_value()) {
    how.at = [this](uint64_t step, rank::FillMoment moment) {
      options_.fail->MaybeFail(world_.rank(), step, attempt_, moment);
    };
  }
  saver_ = std::make_unique<rank::CheckpointSaver>(how, world_, *slots_, link_, console(), files_);
  return absl::OkStatus();
}

absl::Status Training::Start() {
  page_.Enter(MUSTER_PHASE_LOAD);
  const rank::Stopwatch watch;
  MUSTER_ASSIGN_OR_RETURN(const std::optional<rank::Resumed> resumed, Load());
  if (resumed.has_value()) {
    MUSTER_RETURN_IF_ERROR(rank::Agree(world_, TakeOver(*resumed)));
  } else {
    model::InitParameters(model_config_, model_->table(), config_.seed, params_.span());
    Say("starting from random weights");
  }
  first_step_ = step_;
  unsaved_ = resumed.has_value() && !resumed->on_storage;
  loaded_step_ = resumed.has_value() && !resumed->from_init && !unsaved_ ? step_ : 0;
  page_.fields.step = step_;
  page_.fields.first_step = step_;
  page_.from_memory = resumed.has_value() && resumed->from_memory;
  page_.fields.load_seconds = watch.Seconds();
  page_.fields.first_eval_bits_per_byte = run_.first_bits_per_byte;
  page_.fields.eval_bits_per_byte = run_.bits_per_byte;
  page_.Publish();
  if (step_ == 0) return Evaluate();
  return absl::OkStatus();
}

absl::StatusOr<std::optional<rank::Resumed>> Training::Load() {
  rank::ResumeRequest request;
  request.root = options_.checkpoints;
  request.permitted = options_.permitted;
  request.init_from = config_.init_from;
  request.attempt = attempt_;
  request.requests = [this](const checkpoint::Manifest& manifest, bool from_init) {
    return RequestsOf(NeededSections(model_->table(), params_.span(), optimizer_.get()), manifest,
                      from_init);
  };
  request.accept = [this](const checkpoint::Manifest& manifest, const std::string& folder) {
    return CheckModel(manifest, folder, model_config_);
  };
  request.check = [this](const checkpoint::Manifest& manifest) -> absl::Status {
    const std::vector<uint64_t> local = LocalFingerprints(model_->table(), params_.span());
    MUSTER_ASSIGN_OR_RETURN(const rank::Fingerprints whole,
                            WholeFingerprints(model_->table(), local, groups_));
    return rank::CheckFingerprints(manifest.run.extra_json, whole);
  };
  MUSTER_ASSIGN_OR_RETURN(std::optional<rank::Resumed> resumed,
                          rank::Resume(request, *slots_, world_, console(), files_));
  std::vector<checkpoint::Box> boxes;
  for (const rank::Section& section : Owned()) boxes.push_back(section.box);
  MUSTER_ASSIGN_OR_RETURN(
      const checkpoint::ShardLayout layout,
      checkpoint::LayOutShard(checkpoint::WriterName(static_cast<uint64_t>(world_.rank())), boxes));
  MUSTER_RETURN_IF_ERROR(rank::ReserveBeside(resumed, layout, world_, *slots_, *saver_));
  if (resumed.has_value()) went_on_from_ = std::move(resumed->slots);
  return resumed;
}

absl::Status Training::TakeOver(const rank::Resumed& resumed) {
  const checkpoint::RunState& run = resumed.manifest.run;
  const std::string& digest = batches_->dataset().info().digest;
  step_ = resumed.manifest.step;
  run_ = CountersOf(run);
  if (run.dataset_digest != digest) {
    if (!resumed.from_init) {
      return FailedPrecondition(
          "{}: the data changed under the running job: digest {:.12} now, {:.12} when step {} was "
          "saved; restore the data, or submit a new job with checkpoint.init_from: {}",
          config_.data_path, digest, run.dataset_digest, step_, resumed.folder);
    }
    run_.next_sample = 0;
    Say(fmt::format("{} was trained on other data: this job starts at its own first sample",
                    resumed.folder));
  }
  Say(fmt::format("resumed from step {} ({})", step_, rank::WhereFrom(resumed)));
  return absl::OkStatus();
}

absl::Status Training::Step() {
  const rank::Stopwatch watch;
  const uint64_t number = step_ + 1;
  page_.Enter(MUSTER_PHASE_STEP);
  const double target_tokens =
      static_cast<double>(config_.global_batch) * static_cast<double>(config_.model.context);
  const auto loss_scale = static_cast<float>(1.0 / target_tokens);
  const int micro_batches = config_.MicroBatchesPerRank();
  StepReport report;
  for (int m = 0; m < micro_batches; ++m) {
    const auto position =
        static_cast<uint64_t>(groups_.data->rank()) * static_cast<uint64_t>(micro_batches) +
        static_cast<uint64_t>(m);
    const data::Batch& batch =
        batches_->Train(run_.next_sample + position * static_cast<uint64_t>(config_.micro_batch));
    MUSTER_ASSIGN_OR_RETURN(model::TokenLoss loss,
                            model_->Forward(params_.span(), batch.tokens, batch.targets));
    report.losses.push_back(loss.sum);
    const optim::GradientReducer::Target target = reducer_->Begin(m);
    MUSTER_RETURN_IF_ERROR(
        model_->Backward(params_.span(), loss_scale, target.accumulate, target.grads,
                         [this](int bucket) { return reducer_->OnReady(bucket); }));
    page_.fields.micro_step = static_cast<uint32_t>(m + 1);
    page_.Publish();
  }
  if (options_.fail.has_value()) options_.fail->MaybeFail(world_.rank(), number, attempt_);
  MUSTER_RETURN_IF_ERROR(reducer_->Finish());
  const parallel::ParameterTable& table = model_->table();
  for (size_t b = 0; b < table.buckets.size(); ++b) {
    const std::vector<double> squares =
        optim::BlockSquares(table, plan_.Own(b), reducer_->Share(b));
    report.squares.insert(report.squares.end(), squares.begin(), squares.end());
  }
  std::vector<uint64_t> fingerprints;
  if (ComparesReplicas()) {
    fingerprints = LocalFingerprints(table, params_.span());
    report.weights = HashOfReplica(fingerprints);
  }
  report.time_is_up = durable_cadence_.TimeIsUp(Now());
  report.stop = link_ != nullptr && link_->WantedStop();
  report.save = link_ == nullptr ? 0 : link_->WantedSave();
  report.written = saver_->WrittenStep();
  report.fill = saver_->ReportFill();
  report.seconds = step_seconds_;
  MUSTER_ASSIGN_OR_RETURN(StepSummary summary, ExchangeReports(groups_, plan_, report));
  if (!fingerprints.empty()) {
    MUSTER_RETURN_IF_ERROR(
        CompareHashes(table, fingerprints, summary.weights, step_, groups_, console()));
  }
  saver_->TakeFills(summary.fill);
  if (step_ > first_step_) ram_cadence_.Take(summary.seconds, summary.fill.seconds);
  loss_ = summary.loss_sum / target_tokens;
  if (!std::isfinite(summary.grad_norm) || !std::isfinite(loss_)) {
    return rank::Agree(
        world_, FailedPrecondition("step {}: loss {} and gradient norm {} are not finite; lower "
                                   "train.optimizer.lr or lengthen warmup_steps, and resume",
                                   number, loss_, summary.grad_norm));
  }
  const double stall = WaitCopied();
  const double lr = optim::LearningRate(config_.schedule, number);
  MUSTER_RETURN_IF_ERROR(optimizer_->Update(
      *reducer_, lr, optim::ClipScale(summary.grad_norm, config_.clip), number, params_.span()));
  if (options_.fail.has_value()) {
    options_.fail->MaybeFlip(world_.rank(), number, attempt_, params_.span());
  }
  step_ = number;
  rank::ForgetResumes(&went_on_from_, options_.vault.replicated);
  run_.next_sample += static_cast<uint64_t>(config_.global_batch);
  run_.tokens += static_cast<uint64_t>(target_tokens);
  stop_ = summary.stop;
  time_is_up_ = summary.time_is_up;
  asked_.Take(summary.save);
  all_written_ = summary.written;
  const double seconds = watch.Seconds() - stall;
  step_seconds_ = seconds;
  page_.fields.step = step_;
  page_.fields.micro_step = 0;
  page_.fields.loss = loss_;
  page_.fields.grad_norm = summary.grad_norm;
  page_.fields.lr = lr;
  page_.fields.step_seconds = seconds;
  page_.fields.productive_seconds += seconds;
  page_.stragglers.Add(seconds);
  page_.fields.tokens_per_second = target_tokens / seconds;
  page_.Publish();
  Say(fmt::format("step {}/{} loss {:.4f} grad {:.3g} lr {:.2e} {:.0f} tok/s", step_, config_.steps,
                  loss_, summary.grad_norm, lr, target_tokens / seconds));
  return absl::OkStatus();
}

absl::Status Training::Evaluate() {
  page_.Enter(MUSTER_PHASE_EVAL);
  MUSTER_ASSIGN_OR_RETURN(double bits_per_byte, BitsPerByte(*model_, params_.span(), *batches_,
                                                            config_.eval_samples, groups_));
  if (bits_per_byte == 0) return absl::OkStatus();
  run_.bits_per_byte = bits_per_byte;
  if (run_.first_bits_per_byte == 0) run_.first_bits_per_byte = bits_per_byte;
  page_.fields.eval_bits_per_byte = bits_per_byte;
  page_.fields.first_eval_bits_per_byte = run_.first_bits_per_byte;
  page_.Publish();
  Say(fmt::format("eval step {} bits_per_byte {:.3f}", step_, bits_per_byte));
  return absl::OkStatus();
}

double Training::WaitCopied() {
  const rank::Stopwatch watch;
  saver_->WaitCopied();
  const double seconds = watch.Seconds();
  page_.fields.checkpoint_seconds += seconds;
  return seconds;
}

absl::Status Training::BeginSave(const std::string& next) {
  const rank::Stopwatch watch;
  page_.Enter(MUSTER_PHASE_SAVE);
  // Before, so that what a broken machine made of the weights is never saved.
  const std::vector<uint64_t> local = LocalFingerprints(model_->table(), params_.span());
  MUSTER_RETURN_IF_ERROR(CompareReplicas(model_->table(), local, step_, groups_, console()));
  MUSTER_ASSIGN_OR_RETURN(const rank::Fingerprints whole,
                          WholeFingerprints(model_->table(), local, groups_));
  checkpoint::RunState run = StateOfRun();
  run.extra_json = rank::WithFingerprints(run.extra_json, whole);
  MUSTER_RETURN_IF_ERROR(saver_->Begin(step_, run, Owned(), next));
  begun_step_ = step_;
  durable_cadence_.NoteBegun(Now());
  ram_cadence_.NoteBegun(step_);
  page_.fields.checkpoint_seconds += watch.Seconds();
  page_.Publish();
  return absl::OkStatus();
}

void Training::MaybeSaveInRam() {
  if (!ram_cadence_.Due(step_) || !saver_->CanSaveInRam()) return;
  const rank::Stopwatch watch;
  saver_->BeginInRam(step_, StateOfRun(), Owned());
  ram_cadence_.NoteBegun(step_);
  page_.fields.checkpoint_seconds += watch.Seconds();
}

absl::Status Training::FinishSaves(bool all) {
  const rank::Stopwatch watch;
  MUSTER_RETURN_IF_ERROR(all ? saver_->FinishAll() : saver_->Finish());
  page_.fields.checkpoint_seconds += watch.Seconds();
  page_.Publish();
  return absl::OkStatus();
}

absl::StatusOr<bool> Training::SaveForSure(double seconds) {
  const rank::Stopwatch watch;
  page_.Enter(MUSTER_PHASE_SAVE);
  while (true) {
    if (begun_step_ != step_ && loaded_step_ != step_) {
      MUSTER_RETURN_IF_ERROR(BeginSave("trying again"));
    }
    MUSTER_RETURN_IF_ERROR(FinishSaves(true));
    MUSTER_ASSIGN_OR_RETURN(bool committed,
                            saver_->Settle(step_, std::max(1.0, seconds - watch.Seconds())));
    if (committed || (step_ == first_step_ && !unsaved_)) return true;
    begun_step_ = 0;
    char again = watch.Seconds() < seconds ? 1 : 0;
    MUSTER_RETURN_IF_ERROR(world_.Broadcast(std::as_writable_bytes(std::span(&again, 1)), 0));
    if (again == 0) return false;
    std::this_thread::sleep_for(
        std::chrono::duration<double>(std::min(2.0, std::max(0.0, seconds - watch.Seconds()))));
  }
}

absl::StatusOr<TrainingResult> Training::Run() {
  durable_cadence_.NoteBegun(Now());
  while (!last() && !stop_) {
    MUSTER_RETURN_IF_ERROR(Step());
    if (all_written_) MUSTER_RETURN_IF_ERROR(FinishSaves(false));
    saver_->Poll();
    const uint64_t every = config_.eval_every_steps;
    if (last() || (every > 0 && step_ % every == 0)) MUSTER_RETURN_IF_ERROR(Evaluate());
    if (asked_.TakeFailure(saver_->failed_step())) durable_cadence_.NoteAskedFailed(Now());
    save_due_ |= durable_cadence_.Due(step_, time_is_up_) || asked_.Due();
    if (last() || stop_) continue;
    const absl::StatusOr<bool> room = save_due_ ? saver_->MakeRoom(step_) : false;
    MUSTER_RETURN_IF_ERROR(room.status());
    if (*room) {
      const std::string next = durable_cadence_.NextTry(step_, config_.steps, asked_.Open());
      asked_.NoteBegun(step_);
      MUSTER_RETURN_IF_ERROR(BeginSave(next));
      save_due_ = false;
    } else {
      MaybeSaveInRam();
    }
  }
  const bool stopped = stop_ && !last();
  MUSTER_ASSIGN_OR_RETURN(bool committed, SaveForSure(stopped ? options_.stop_save_seconds
                                                              : options_.final_save_seconds));
  page_.Enter(MUSTER_PHASE_IDLE);
  if (!committed && !stopped) {
    return rank::Agree(world_,
                       Unavailable("the last checkpoint (step {}) could not be committed in "
                                   "{:.0f} s; make room in {} and resume the job",
                                   step_, options_.final_save_seconds, options_.checkpoints));
  }
  if (!committed && groups_.first()) {
    console().problem(fmt::format("stopping without a checkpoint of step {}", step_));
  }
  Say(stopped ? fmt::format("stopped by order after step {}/{}", step_, config_.steps)
              : fmt::format("done: {} steps", step_));
  return TrainingResult{stopped, step_, first_step_, loss_, run_.bits_per_byte};
}

}  // namespace

absl::StatusOr<TrainingResult> RunTraining(const TrainingOptions& options,
                                           collective::Collective& world, RankLink* link,
                                           checkpoint::FileSystem& files) {
  Training training(options, world, link, files);
  MUSTER_RETURN_IF_ERROR(training.SetUp());
  MUSTER_RETURN_IF_ERROR(training.Start());
  return training.Run();
}

}  // namespace muster::trainer::loop
