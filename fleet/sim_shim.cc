#include "fleet/sim_shim.h"

#include <algorithm>
#include <string>
#include <utility>

namespace muster::fleet {

SimShim::SimShim(const v1::StartRanks& start, const Script& script, int64_t now_ms)
    : start_(start), script_(&script), started_ms_(now_ms) {
  v1::GangOrder gang;
  if (gang.ParseFromString(start.gang())) {
    if (gang.resume_size() > 0) first_step_ = gang.resume(0).step();
    target_ = gang.spec().has_train() ? gang.spec().train().steps() : script.steps;
  }
  start_.clear_gang();
  asked_ = first_step_;
}

bool SimShim::Holds(uint32_t rank) const {
  const v1::NodeShare& share = start_.share();
  return rank >= share.first_rank() && rank < share.first_rank() + share.ranks();
}

uint64_t SimShim::StepAt(int64_t now_ms) const {
  if (end_ != End::kNone) return end_step_;
  const int64_t until = hung_ms_ >= 0 ? hung_ms_ : now_ms;
  const uint64_t step =
      first_step_ + static_cast<uint64_t>((until - started_ms_) / script_->step_ms);
  return target_ > 0 ? std::min(step, target_) : step;
}

void SimShim::KillRank(uint32_t rank, int64_t now_ms) {
  if (end_ != End::kNone) return;
  end_step_ = StepAt(now_ms);
  end_ = End::kFailed;
  failed_rank_ = rank;
  end_ms_ = now_ms;
}

void SimShim::HangRank(int64_t now_ms) {
  if (hung_ms_ < 0) hung_ms_ = now_ms;
}

v1::CheckpointRef SimShim::Checkpoint(uint64_t step, int64_t now_ms) const {
  v1::CheckpointRef ref;
  ref.set_step(step);
  ref.set_attempt(start_.attempt());
  ref.set_manifest_sha256(std::string(32, static_cast<char>(step % 251)));
  ref.set_bytes(1 << 20);
  ref.set_time_unix_ms(now_ms);
  return ref;
}

v1::AttemptReport SimShim::Report(int64_t now_ms) {
  v1::AttemptReport report;
  report.set_job_id(start_.job_id());
  report.set_attempt(start_.attempt());
  report.set_report(++reports_);
  report.set_save(save_);
  const bool over = end_ != End::kNone;
  report.set_state(over ? v1::LOCAL_ATTEMPT_STATE_STOPPED : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  const uint64_t step = StepAt(now_ms);
  for (uint32_t i = 0; i < start_.share().ranks(); ++i) {
    v1::RankReport* rank = report.add_ranks();
    rank->set_rank(start_.share().first_rank() + i);
    rank->set_pid(1000 + i);
    rank->set_state(over ? v1::RANK_STATE_EXITED : v1::RANK_STATE_RUNNING);
    if (over) rank->set_exit_unix_us(end_ms_ * 1000);
    if (end_ == End::kStopped || end_ == End::kFailed) {
      const bool culprit = end_ == End::kFailed && rank->rank() == failed_rank_;
      rank->set_signal(culprit ? 9 : 15);
      rank->set_stopped_by_us(!culprit);
    }
    v1::Progress* progress = rank->mutable_progress();
    progress->set_phase(v1::PHASE_STEP);
    progress->set_step(step);
    progress->set_first_step(first_step_);
    progress->set_target_steps(target_);
    progress->set_updates(step - first_step_ + 1);
    progress->set_loss(4.0 / (1.0 + static_cast<double>(step)));
    progress->set_step_seconds(static_cast<double>(script_->step_ms) / 1000);
    progress->set_productive_seconds(static_cast<double>(step - first_step_) *
                                     static_cast<double>(script_->step_ms) / 1000);
  }
  return report;
}

std::vector<v1::ShimToWorker> SimShim::Say(int64_t now_ms) {
  std::vector<v1::ShimToWorker> said = std::exchange(unsaid_, {});
  const uint64_t step = StepAt(now_ms);
  if (end_ == End::kNone && Holds(0) && script_->save_steps > 0) {
    const uint64_t save = step - step % script_->save_steps;
    if (save > asked_) {
      asked_ = save;
      v1::CommitRequest& request = *said.emplace_back().mutable_commit_request();
      request.set_job_id(start_.job_id());
      request.set_attempt(start_.attempt());
      *request.mutable_checkpoint() = Checkpoint(save, now_ms);
    }
  }
  if (end_ == End::kNone && target_ > 0 && step >= target_) {
    end_step_ = step;
    end_ = End::kFinished;
    end_ms_ = now_ms;
  }
  *said.emplace_back().mutable_report() = Report(now_ms);
  return said;
}

void SimShim::Take(const v1::WorkerToShim& message, int64_t now_ms) {
  if (message.has_stop() && end_ == End::kNone) {
    end_step_ = StepAt(now_ms);
    end_ = End::kStopped;
    end_ms_ = now_ms;
  } else if (message.has_commit_reply() && message.commit_reply().permitted()) {
    v1::CommitDone& done = *unsaid_.emplace_back().mutable_commit_done();
    done.set_job_id(start_.job_id());
    done.set_attempt(start_.attempt());
    *done.mutable_checkpoint() = Checkpoint(message.commit_reply().step(), now_ms);
    done.mutable_checkpoint()->set_committed(true);
  } else if (message.has_save()) {
    save_ = std::max(save_, message.save().save());
  } else if (message.has_exit()) {
    exiting_ = true;
  }
}

}  // namespace muster::fleet
