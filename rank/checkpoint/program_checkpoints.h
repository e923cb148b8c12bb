// The checkpoints of a program that is not the native trainer: what rank/muster_checkpoint.h
// promises, in C++.
//
// All ranks decide alike, because they decide by what they told each other (step_exchange.h). They
// do so at every step, or, where steps are shorter than `look_seconds`, once in so much time; and
// at every step at which a save is due.
//
// Threads: the rank's one. Start, Load, Step and Finish are collective.
// Errors:  kInvalidArgument and kFailedPrecondition: the program's; kUnavailable: the group broke;
//          kDataLoss: there are checkpoints and none is whole. Saves that fail are lines, not
//          errors.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "rank/checkpoint/asked_save.h"
#include "rank/checkpoint/checkpoint_saver.h"
#include "rank/checkpoint/console.h"
#include "rank/checkpoint/group.h"
#include "rank/checkpoint/job_settings.h"
#include "rank/checkpoint/ram_cadence.h"
#include "rank/checkpoint/rank_slots.h"
#include "rank/checkpoint/regions.h"
#include "rank/checkpoint/resume.h"
#include "rank/checkpoint/save_cadence.h"
#include "rank/checkpoint/save_link.h"
#include "rank/checkpoint/step_exchange.h"
#include "rank/checkpoint/stopwatch.h"

namespace muster::rank {

inline constexpr size_t kStateBytesMax = 32u << 10;

struct ProgramOptions {
  JobSettings job;
  double look_seconds = 0.01;
  double final_save_seconds = 180;   // how long the last save is tried
  double stop_save_seconds = 60;     // the same, when told to stop
  double save_patience_seconds = 5;  // how long a save waits for an earlier one
  std::function<double()> seconds =
      {};  // a monotonic clock for checkpoint.every; none: the real one
};

class ProgramCheckpoints {
 public:
  struct Loaded {
    uint64_t step = 0;  // 0 = there was nothing
    std::string state = "{}";
  };
  struct Facts {
    uint64_t step = 0;
    uint64_t first_step = 0;
    bool from_memory = false;  // first_step, not from storage
    double load_seconds = 0;
    double checkpoint_seconds = 0;
    double step_seconds = 0;        // the last one, without what checkpoints took
    double productive_seconds = 0;  // the sum
  };

  // group, link (null: nobody started us) and files outlive it.
  ProgramCheckpoints(ProgramOptions options, Group& group, SaveLink* link, Console console,
                     checkpoint::FileSystem& files);
  ~ProgramCheckpoints();

  absl::Status Start();
  absl::Status Add(Region region);
  absl::StatusOr<Loaded> Load();
  absl::Status Step(uint64_t step, const std::string& state);
  void Wait();
  bool stop_wanted() const { return stop_; }
  // kDeadlineExceeded: the last step could not be committed in time.
  absl::Status Finish();

  const Facts& facts() const { return facts_; }

 private:
  bool on() const { return !options_.job.checkpoints.empty(); }
  double Now() const { return options_.seconds ? options_.seconds() : clock_.Seconds(); }
  absl::StatusOr<std::optional<Resumed>> LoadNewest();
  absl::Status CheckStep(uint64_t step, const std::string& state) const;
  checkpoint::RunState RunStateNow() const;
  bool LooksAt(uint64_t step) const;
  absl::Status Look(double step_seconds);
  absl::Status MaybeSave();
  absl::Status BeginSave(const std::string& next);
  absl::StatusOr<bool> SaveForSure(double seconds);

  const ProgramOptions options_;
  Group& group_;
  SaveLink* const link_;
  const Console console_;
  checkpoint::FileSystem& files_;
  const Stopwatch clock_;

  uint64_t attempt_ = 1;
  std::vector<Region> regions_;
  std::vector<Section> owned_;
  std::unique_ptr<RankSlots> slots_;
  std::unique_ptr<CheckpointSaver> saver_;  // null when there is nothing to save
  SaveCadence durable_cadence_;
  RamCadence ram_cadence_;
  std::vector<OfferedSlot> went_on_from_;

  Facts facts_;
  bool loaded_ = false;
  bool unsaved_ = false;      // it went on from a step that storage may not have
  uint64_t loaded_step_ = 0;  // of this job, and on storage
  std::string state_ = "{}";
  uint64_t begun_step_ = 0;  // of the newest save
  bool copying_ = false;     // the program has not waited since
  bool save_due_ = false;
  bool time_is_up_ = false;
  bool stop_ = false;
  AskedSave asked_;
  uint64_t looked_step_ = 0, look_every_ = 1;
  double waited_seconds_ = 0;  // since the last step
  double since_look_seconds_ = 0;
  Stopwatch step_watch_;
};

}  // namespace muster::rank
