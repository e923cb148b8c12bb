#include "rank/checkpoint/checkpoint_saver.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checkpoint/shard.h"
#include "checkpoint/store.h"
#include "common/check.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "rank/checkpoint/stopwatch.h"

namespace muster::rank {
namespace {

// Unanswered requests kept while the coordinator is away; older saves are then worth nothing.
constexpr size_t kWaitingMax = 4;
// The worker gives a partner up long before.
constexpr double kReplicaSecondsMax = 60;
// After a commit that failed.
constexpr double kCommitAgainSeconds = 2;
// One that is under way is not left alone before.
constexpr double kCommitSecondsLeast = 10;
constexpr double kSecond = 1;
constexpr int kMomentMs = 20;

std::string ToText(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

absl::StatusOr<bool> CheckpointSaver::MakeRoom(uint64_t step) {
  enum State : char { kDone, kYoung, kLate };
  while (true) {
    const bool full = begun_.size() == saves_.size();
    char mine = kDone;
    if (!begun_.empty()) {
      const Begun& oldest = begun_.front();
      if (full) oldest.save->WaitWritten(options_.patience_seconds - oldest.watch.Seconds());
      const bool young = !full && oldest.watch.Seconds() < options_.patience_seconds;
      mine = oldest.save->written() ? kDone : young ? kYoung : kLate;
    }
    if (group_.first() && !CatchUpWithCommits()) mine = kLate;
    MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                            group_.AllGatherBytes(std::as_bytes(std::span(&mine, 1))));
    char worst = kDone;
    for (const std::vector<std::byte>& one : all) {
      worst = std::max(worst, static_cast<char>(one.front()));
    }
    if (worst == kLate && !put_off_ && group_.first()) {
      console_.problem(fmt::format(
          "save of step {} is put off: earlier ones are still on their way; training goes on",
          step));
    }
    put_off_ = worst == kLate;
    if (worst != kDone || begun_.empty()) return !put_off_;
    MUSTER_RETURN_IF_ERROR(Finish());
  }
}

bool CheckpointSaver::CatchUpWithCommits() {
  Poll();
  while (waiting_.size() > 1 && waiting_.front().permitted) {
    if (waiting_.front().watch.Seconds() >= options_.patience_seconds) return false;
    Poll(kMomentMs);
  }
  return true;
}

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
  order.writer = checkpoint::WriterName(static_cast<uint64_t>(group_.rank()));
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
  if (const std::string why = slots_.why_refused(); !why.empty()) {
    const std::string line = fmt::format(
        "rank {}: no RAM slots, state is saved to storage alone: {}", group_.rank(), why);
    if (!said_no_slots_) console_.problem(line);
    if (!said_no_slots_) Tell(MUSTER_SAVE_NO_SLOTS, 0, line);
    said_no_slots_ = true;
    slots_.MaybeTryAgain();
  } else if (said_no_slots_ && slots_.state() == RankSlots::State::kReady) {
    said_no_slots_ = false;
    Tell(MUSTER_SAVE_NO_SLOTS, 0, "");
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
                          group_.AllGatherBytes(std::as_bytes(std::span(&mine.sealed, 1))));
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

absl::Status CheckpointSaver::Finish() { return FinishOldest(/*may_come_again=*/false); }

absl::Status CheckpointSaver::FinishOldest(bool may_come_again) {
  const Begun begun = std::move(begun_.front());
  begun_.pop_front();
  while (group_.first() && !begun.save->WaitWritten(kSecond)) {
    health_.OnItsWay(begun.step, begun.watch.Seconds());
  }
  const absl::StatusOr<std::string> digest = begun.save->Take();
  if (const std::string& why = begun.save->why_not_copied(); why.empty() == said_not_copied_) {
    said_not_copied_ = !why.empty();
    const std::string line =
        why.empty()
            ? ""
            : fmt::format("rank {}: training stands still while it saves: {}", group_.rank(), why);
    if (!line.empty()) console_.problem(line);
    Tell(MUSTER_SAVE_NO_COPY, begun.step, line);
  }
  absl::Status outcome = Agree(group_, digest.status());
  const bool durable = outcome.ok();
  if (durable) {
    MUSTER_ASSIGN_OR_RETURN(
        std::vector<std::vector<std::byte>> all,
        group_.AllGatherBytes(std::as_bytes(std::span(digest->data(), digest->size()))));
    absl::Status joined;
    if (group_.first()) joined = Join(begun.step, begun.run, all, begun.watch);
    outcome = Agree(group_, joined);
  }
  if (outcome.ok() || !SaidByAll(outcome)) return outcome;
  failed_step_ = begun.step;
  if (group_.first()) {
    health_.Failed(begun.step, fmt::format("save of step {} failed: {}; {}", begun.step,
                                           std::string(outcome.message()), begun.next));
    if (!durable && !may_come_again) committer_.Discard({begun.step, options_.attempt});
  }
  return absl::OkStatus();
}

absl::Status CheckpointSaver::FinishAll() {
  while (!begun_.empty()) MUSTER_RETURN_IF_ERROR(FinishOldest(begun_.size() == 1));
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
  MUSTER_RETURN_IF_ERROR(
      AskOrCommit({.manifest = std::move(manifest), .save_seconds = watch.Seconds()}));
  console_.out(fmt::format("saved step {}: {:.1f} MB in {:.2f} s", step,
                           static_cast<double>(bytes) / 1e6, watch.Seconds()));
  return absl::OkStatus();
}

absl::Status CheckpointSaver::AskOrCommit(Waiting waiting) {
  if (link_ == nullptr) {
    const Committer::Outcome outcome = committer_.CommitNow(waiting.manifest);
    if (outcome.status.ok()) TakeOutcome(outcome);
    return outcome.status;
  }
  MUSTER_RETURN_IF_ERROR(link_->RequestCommit(waiting.manifest.step, waiting.manifest.sha256,
                                              checkpoint::TotalBytes(waiting.manifest)));
  waiting_.push_back(std::move(waiting));
  // What failed to be committed is not tried again once there is something newer.
  if (waiting_.front().failed && !waiting_.front().given && waiting_.size() > 1) {
    waiting_.pop_front();
  }
  if (waiting_.size() > kWaitingMax) {
    const Waiting& oldest = waiting_.front();
    console_.problem(fmt::format("{} step {} and newer saves are waiting; it is given up",
                                 oldest.permitted ? "storage does not take the commit of"
                                                  : "no answer to the commit request for",
                                 oldest.manifest.step));
    waiting_.pop_front();
  }
  return absl::OkStatus();
}

checkpoint::PruneOptions CheckpointSaver::PruneOf(const SaverOptions& options) {
  checkpoint::PruneOptions prune;
  prune.keep = options.keep;
  prune.keep_every = options.keep_every;
  prune.keep_best = options.keep_best;
  prune.current_attempt = options.attempt;
  return prune;
}

bool CheckpointSaver::TakeOutcomes() {
  bool any = false;
  while (const std::optional<Committer::Outcome> outcome = committer_.Take()) {
    TakeOutcome(*outcome);
    any = true;
  }
  return any;
}

void CheckpointSaver::TakeOutcome(const Committer::Outcome& outcome) {
  const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& one) {
    return one.manifest.step == outcome.step;
  });
  if (!outcome.status.ok()) {
    const bool hopeless = absl::IsAlreadyExists(outcome.status) || absl::IsNotFound(outcome.status);
    const bool again = at != waiting_.end() && !hopeless && waiting_.size() == 1;
    if (!again || !at->failed) {
      health_.Failed(outcome.step,
                     fmt::format("commit of step {} failed: {}; training goes on, {}", outcome.step,
                                 std::string(outcome.status.message()),
                                 again ? "and it is tried again" : "with the next save"));
    }
    if (again) {
      at->failed = true;
      at->given = false;
      at->watch = Stopwatch();
    } else if (at != waiting_.end()) {
      waiting_.erase(at);
    }
    return;
  }
  newest_committed_ = std::max(newest_committed_, outcome.step);
  health_.Committed(outcome.step, at == waiting_.end() ? 0 : at->save_seconds);
  if (at != waiting_.end()) waiting_.erase(at);
  for (const std::string& problem : outcome.problems) console_.problem(problem);
  if (link_ == nullptr) return;
  absl::Status told = link_->CommitDone(outcome.step, outcome.manifest_sha256, outcome.bytes);
  for (const checkpoint::CheckpointId& id : outcome.pruned) {
    if (told.ok()) told = link_->Pruned(id.step, id.attempt);
  }
  if (!told.ok()) console_.problem(std::string(told.message()));
}

void CheckpointSaver::Poll(int timeout_ms) {
  if (!group_.first()) return;
  TakeOutcomes();
  while (!waiting_.empty()) {
    Waiting& oldest = waiting_.front();
    const uint64_t step = oldest.manifest.step;
    if (!oldest.permitted) {
      std::string reason;
      const absl::StatusOr<CommitAnswer> answer = link_->PollCommit(step, timeout_ms, &reason);
      if (answer.ok() && *answer == CommitAnswer::kPending) break;
      oldest.permitted = answer.ok() && *answer == CommitAnswer::kPermitted;
      if (!oldest.permitted) {
        console_.problem(answer.ok() ? reason
                                     : fmt::format("commit of step {}: {}", step,
                                                   std::string(answer.status().message())));
        waiting_.pop_front();
        continue;
      }
    }
    const bool rests = oldest.failed && oldest.watch.Seconds() < kCommitAgainSeconds;
    if (!oldest.given && !rests) {
      oldest.given = true;
      oldest.watch = Stopwatch();
      committer_.Commit(oldest.manifest);
    }
    if (timeout_ms > 0) committer_.Wait(timeout_ms / 1e3);
    if (!TakeOutcomes()) break;
  }
  TellLate();
}

// What began before the last exchange of reports, and was not finished then: neither a long step
// nor a permit that does not come counts against storage.
void CheckpointSaver::TellLate() {
  if (!waiting_.empty() && waiting_.front().given) {
    health_.OnItsWay(waiting_.front().manifest.step, waiting_.front().watch.Seconds());
  } else if (!begun_.empty()) {
    health_.OnItsWay(begun_.front().step, begun_.front().watch.Seconds());
  }
}

void CheckpointSaver::Tell(muster_save_trouble kind, uint64_t step, const std::string& text) {
  if (link_ == nullptr) return;
  const absl::Status told = link_->SaveTrouble(kind, step, text);
  if (!told.ok()) console_.problem(std::string(told.message()));
}

absl::StatusOr<bool> CheckpointSaver::Settle(uint64_t step, double seconds) {
  const Stopwatch watch;
  const auto goes_on = [&] {
    if (waiting_.empty()) return false;
    const Waiting& oldest = waiting_.front();
    return watch.Seconds() < seconds ||
           (oldest.given && oldest.watch.Seconds() < kCommitSecondsLeast);
  };
  while (group_.first() && goes_on()) Poll(200);
  if (group_.first() && !waiting_.empty()) {
    console_.problem(fmt::format("{} step {} in {:.0f} s",
                                 waiting_.front().permitted ? "storage did not take the commit of"
                                                            : "no answer to the commit request for",
                                 waiting_.front().manifest.step, seconds));
  }
  char committed = newest_committed_ >= step ? 1 : 0;
  MUSTER_RETURN_IF_ERROR(group_.Broadcast(std::as_writable_bytes(std::span(&committed, 1)), 0));
  return committed == 1;
}

}  // namespace muster::rank
