#include "trainer/loop/checkpoint_saver.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "checkpoint/commit.h"
#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "common/check.h"
#include "common/status.h"
#include "trainer/loop/stopwatch.h"

namespace muster::trainer::loop {
namespace {

// Unanswered requests kept while the coordinator is away; older saves are then worth nothing.
constexpr size_t kWaitingMax = 4;
// The worker gives a partner up long before.
constexpr double kReplicaSecondsMax = 60;

std::string ToText(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

absl::Status CheckpointSaver::Begin(uint64_t step, const checkpoint::RunState& run,
                                    std::vector<Section> sections, const std::string& next) {
  if (begun_.size() == saves_.size()) MUSTER_RETURN_IF_ERROR(Finish());
  if (filling_) MUSTER_RETURN_IF_ERROR(SettleFills());
  BackgroundSave* save = &saves_[0];
  if (!begun_.empty() && begun_.back().save == save) save = &saves_[1];
  SaveOrder order = OrderFor(step, run, std::move(sections));
  order.slot = TakeSlot(step);
  if (order.slot != nullptr) fill_ = save;
  begun_.push_back({step, run, next, Stopwatch(), save, slots_on_, false});
  save->Begin(std::move(order));
  return absl::OkStatus();
}

bool CheckpointSaver::CanSaveInRam() const {
  if (!slots_on_ || filling_ || begun_.size() == saves_.size()) return false;
  return begun_.empty() || !begun_.front().in_slot || begun_.front().sealed_by_all;
}

void CheckpointSaver::BeginInRam(uint64_t step, const checkpoint::RunState& run,
                                 std::vector<Section> sections) {
  CHECK(CanSaveInRam(), "a save of step {} in RAM at the wrong time", step);
  if (!ram_save_.free()) {
    // Nothing is lost with it; the next one is tried all the same.
    const absl::StatusOr<std::string> last = ram_save_.Take();
    if (!last.ok()) console_.problem(std::string(last.status().message()));
  }
  SaveOrder order = OrderFor(step, run, std::move(sections));
  order.slot = TakeSlot(step);
  order.durable = false;
  if (order.slot == nullptr) return;  // held: this rank stays behind by one
  fill_ = &ram_save_;
  ram_save_.Begin(std::move(order));
}

SaveOrder CheckpointSaver::OrderFor(uint64_t step, const checkpoint::RunState& run,
                                    std::vector<Section> sections) const {
  SaveOrder order;
  order.root = options_.root;
  order.id = {step, options_.attempt};
  order.writer = checkpoint::WriterName(static_cast<uint64_t>(groups_.world->rank()));
  order.sections = std::move(sections);
  order.slot_id = slots_.IdOf(step, options_.attempt);
  order.run = run;
  order.worker_drains = slots_.options().worker_drains;
  order.replicated = slots_.options().replicated;
  if (options_.at) order.at = [at = options_.at, step](FillMoment moment) { at(step, moment); };
  return order;
}

uint64_t CheckpointSaver::StepToKeep() const {
  for (const Begun& begun : begun_) {
    if (begun.in_slot && begun.sealed_by_all) return begun.step;
  }
  return common_;
}

checkpoint::SlotFile* CheckpointSaver::TakeSlot(uint64_t step) {
  if (!slots_on_) return nullptr;
  filling_ = true;
  common_ = StepToKeep();
  fill_file_ = slots_.ForFill(common_);
  fill_step_ = step;
  fill_watch_ = Stopwatch();
  if (fill_file_ != nullptr) slots_.NoteSpoiled(fill_file_);
  return fill_file_;
}

bool CheckpointSaver::AwaitsReplica() {
  checkpoint::RamSlot& slot = fill_file_->slot();
  if (!slot.awaits_replica()) return false;
  if (fill_watch_.Seconds() < kReplicaSecondsMax || slot.held_by(checkpoint::kHeldByReplication)) {
    return true;
  }
  slot.Mark(checkpoint::kSlotReplicaGivenUp);  // a worker that came back without this vault
  return false;
}

FillReport CheckpointSaver::ReportFill() {
  if (const std::string why = slots_.why_refused(); !why.empty() && !said_no_slots_) {
    said_no_slots_ = true;
    console_.problem(fmt::format("rank {}: no RAM slots, state is saved to storage alone: {}",
                                 groups_.world->rank(), why));
  }
  FillReport report;
  report.ready = slots_.state() == RankSlots::State::kReady;
  if (fill_ != nullptr) {
    switch (fill_->fill()) {
      case BackgroundSave::Fill::kFilling:
        report.filling = true;
        break;
      case BackgroundSave::Fill::kSealed:
        if (AwaitsReplica()) {
          report.filling = true;
          break;
        }
        fill_seconds_ = fill_->fill_seconds();
        slots_.NoteSealed(fill_file_, fill_step_);
        fill_ = nullptr;
        break;
      case BackgroundSave::Fill::kNone:
      case BackgroundSave::Fill::kFailed:
        fill_ = nullptr;
        break;
    }
  }
  report.sealed = slots_.newest();
  report.seconds = fill_seconds_;
  return report;
}

void CheckpointSaver::TakeFills(const FillSummary& all) {
  slots_on_ = slots_on_ || all.ready;
  filling_ = all.filling;
  if (all.filling || all.sealed == 0) return;
  common_ = all.sealed;
  for (Begun& begun : begun_) {
    if (begun.step == common_) begun.sealed_by_all = true;
  }
}

absl::Status CheckpointSaver::SettleFills() {
  if (fill_ != nullptr) fill_->WaitFilled();
  if (fill_ != nullptr && fill_file_->slot().awaits_replica()) {
    // What begins now comes in its place; the other slot has its copy.
    RankSlots::GiveUpReplica(fill_file_);
    fill_ = nullptr;
  }
  const FillReport mine = ReportFill();
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          groups_.world->AllGatherBytes(std::as_bytes(std::span(&mine.sealed, 1))));
  FillSummary summary{slots_on_, false, mine.sealed, 0};
  for (const std::vector<std::byte>& bytes : all) {
    if (std::memcmp(bytes.data(), &mine.sealed, sizeof(mine.sealed)) != 0) summary.sealed = 0;
  }
  TakeFills(summary);
  return absl::OkStatus();
}

void CheckpointSaver::WaitCopied() {
  if (!begun_.empty()) begun_.back().save->WaitCopied();
  if (!ram_save_.free()) ram_save_.WaitCopied();
}

uint64_t CheckpointSaver::WrittenStep() const {
  return !begun_.empty() && begun_.front().save->written() ? begun_.front().step : 0;
}

absl::Status CheckpointSaver::Finish() {
  const Begun begun = std::move(begun_.front());
  begun_.pop_front();
  const absl::StatusOr<std::string> digest = begun.save->Take();
  if (const std::string& why = begun.save->why_not_copied(); !why.empty() && !said_not_copied_) {
    said_not_copied_ = true;
    console_.problem(fmt::format("rank {}: training stands still while it saves: {}",
                                 groups_.world->rank(), why));
  }
  absl::Status outcome = Agree(*groups_.world, digest.status());
  if (outcome.ok()) {
    MUSTER_ASSIGN_OR_RETURN(
        std::vector<std::vector<std::byte>> all,
        groups_.world->AllGatherBytes(std::as_bytes(std::span(digest->data(), digest->size()))));
    absl::Status joined;
    if (groups_.first()) joined = Join(begun.step, begun.run, all, begun.watch);
    outcome = Agree(*groups_.world, joined);
  }
  if (outcome.ok() || !SaidByAll(outcome)) return outcome;
  if (groups_.first()) {
    console_.problem(fmt::format("save of step {} failed: {}; {}", begun.step,
                                 std::string(outcome.message()), begun.next));
  }
  return absl::OkStatus();
}

absl::Status CheckpointSaver::FinishAll() {
  while (!begun_.empty()) MUSTER_RETURN_IF_ERROR(Finish());
  return absl::OkStatus();
}

absl::Status CheckpointSaver::Join(uint64_t step, const checkpoint::RunState& run,
                                   const std::vector<std::vector<std::byte>>& all,
                                   const Stopwatch& watch) {
  std::vector<checkpoint::ShardDigest> digests;
  for (const std::vector<std::byte>& bytes : all) {
    MUSTER_ASSIGN_OR_RETURN(checkpoint::ShardDigest one, checkpoint::ParseDigest(ToText(bytes)));
    digests.push_back(std::move(one));
  }
  MUSTER_ASSIGN_OR_RETURN(
      checkpoint::Manifest manifest,
      checkpoint::BuildManifest(step, options_.attempt, options_.job_uid, run, digests));
  const uint64_t bytes = checkpoint::TotalBytes(manifest);
  const std::string folder =
      options_.root + "/" + checkpoint::CheckpointFolder({step, options_.attempt});
  MUSTER_RETURN_IF_ERROR(AskOrCommit({std::move(manifest), folder}));
  console_.out(fmt::format("saved step {}: {:.1f} MB in {:.2f} s", step,
                           static_cast<double>(bytes) / 1e6, watch.Seconds()));
  return absl::OkStatus();
}

absl::Status CheckpointSaver::AskOrCommit(Waiting waiting) {
  if (link_ == nullptr) return Commit(waiting);
  MUSTER_RETURN_IF_ERROR(link_->RequestCommit(waiting.manifest.step, waiting.manifest.sha256,
                                              checkpoint::TotalBytes(waiting.manifest)));
  waiting_.push_back(std::move(waiting));
  if (waiting_.size() > kWaitingMax) {
    console_.problem(fmt::format(
        "no answer to the commit request for step {} and newer saves are waiting; it is given up",
        waiting_.front().manifest.step));
    waiting_.pop_front();
  }
  return absl::OkStatus();
}

absl::Status CheckpointSaver::Commit(const Waiting& waiting) {
  const checkpoint::Manifest& manifest = waiting.manifest;
  MUSTER_RETURN_IF_ERROR(checkpoint::WriteManifest(waiting.folder, manifest, files_));
  MUSTER_RETURN_IF_ERROR(checkpoint::Commit(waiting.folder,
                                            {.step = manifest.step,
                                             .attempt = manifest.attempt,
                                             .epoch = 0,
                                             .manifest_sha256 = manifest.sha256},
                                            files_));
  newest_committed_ = std::max(newest_committed_, manifest.step);
  if (link_ != nullptr) {
    const absl::Status told =
        link_->CommitDone(manifest.step, manifest.sha256, checkpoint::TotalBytes(manifest));
    if (!told.ok()) console_.problem(std::string(told.message()));
  }
  const absl::Status hint =
      checkpoint::WriteLatest(options_.root, {manifest.step, manifest.attempt}, files_);
  if (!hint.ok()) console_.problem(std::string(hint.message()));
  PruneOld();
  return absl::OkStatus();
}

void CheckpointSaver::PruneOld() {
  checkpoint::PruneOptions prune;
  prune.keep = options_.keep;
  prune.keep_every = options_.keep_every;
  prune.current_attempt = options_.attempt;
  const absl::StatusOr<checkpoint::PruneReport> report =
      checkpoint::Prune(options_.root, prune, files_);
  if (!report.ok()) {
    console_.problem(
        fmt::format("old checkpoints stay for now: {}", std::string(report.status().message())));
    return;
  }
  if (!report->kept_for_safety.empty()) console_.problem(report->kept_for_safety);
  if (link_ == nullptr) return;
  for (const checkpoint::CheckpointId& id : report->deleted) {
    const absl::Status told = link_->Pruned(id.step, id.attempt);
    if (!told.ok()) console_.problem(std::string(told.message()));
  }
}

void CheckpointSaver::Poll(int timeout_ms) {
  while (!waiting_.empty()) {
    const uint64_t step = waiting_.front().manifest.step;
    std::string reason;
    const absl::StatusOr<CommitAnswer> answer = link_->PollCommit(step, timeout_ms, &reason);
    if (!answer.ok()) {
      console_.problem(
          fmt::format("commit of step {}: {}", step, std::string(answer.status().message())));
      waiting_.pop_front();
      continue;
    }
    switch (*answer) {
      case CommitAnswer::kPending:
        return;
      case CommitAnswer::kRefused:
        console_.problem(reason);
        break;
      case CommitAnswer::kPermitted:
        if (const absl::Status done = Commit(waiting_.front()); !done.ok()) {
          console_.problem(
              fmt::format("commit of step {} failed: {}", step, std::string(done.message())));
        }
        break;
    }
    waiting_.pop_front();
  }
}

absl::StatusOr<bool> CheckpointSaver::Settle(uint64_t step, double seconds) {
  const Stopwatch watch;
  while (groups_.first() && !waiting_.empty() && watch.Seconds() < seconds) Poll(200);
  if (groups_.first() && !waiting_.empty()) {
    console_.problem(fmt::format("no answer to the commit request for step {} in {:.0f} s",
                                 waiting_.front().manifest.step, seconds));
  }
  char committed = newest_committed_ >= step ? 1 : 0;
  MUSTER_RETURN_IF_ERROR(
      groups_.world->Broadcast(std::as_writable_bytes(std::span(&committed, 1)), 0));
  return committed == 1;
}

}  // namespace muster::trainer::loop
