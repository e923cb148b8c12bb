// A worker that answers as told.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainer/loop/rank_link.h"

namespace muster::trainer::loop {

class FakeLink : public RankLink {
 public:
  enum class Commits { kPermitted, kNeverAnswered, kRefused, kPermittedLate };

  explicit FakeLink(Commits commits) : commits_(commits) {}

  // For ranks nobody asks anything of.
  static FakeLink* Silent() {
    static auto* link = new FakeLink(Commits::kRefused);
    return link;
  }

  absl::Status Hello(int, int) override { return absl::OkStatus(); }
  void Publish(const muster_rank_status& status, double straggler_seconds,
               bool from_memory) override {
    if (this == Silent()) return;
    last = status;
    last_stragglers = straggler_seconds;
    last_from_memory = from_memory;
  }
  // Asked once per step, before the step is counted.
  bool WantedStop() override {
    if (this == Silent()) return false;
    return ++asked_ == stop_after_steps;
  }
  uint64_t WantedSave() override {
    return this != Silent() && save_after_steps > 0 && asked_ >= save_after_steps ? 1 : 0;
  }
  absl::Status RequestCommit(uint64_t step, const std::string&, uint64_t) override {
    requested.push_back(step);
    return absl::OkStatus();
  }
  absl::StatusOr<rank::CommitAnswer> PollCommit(uint64_t, int, std::string* reason) override {
    switch (commits_) {
      case Commits::kPermitted:
        return rank::CommitAnswer::kPermitted;
      case Commits::kNeverAnswered:
        return rank::CommitAnswer::kPending;
      case Commits::kRefused:
        *reason = "commit refused: attempt 1 has ended";
        return rank::CommitAnswer::kRefused;
      case Commits::kPermittedLate:
        return ++polls_ % 3 == 0 ? rank::CommitAnswer::kPermitted : rank::CommitAnswer::kPending;
    }
    return rank::CommitAnswer::kPending;
  }
  absl::Status CommitDone(uint64_t step, const std::string&, uint64_t) override {
    done.push_back(step);
    return absl::OkStatus();
  }
  absl::Status Pruned(uint64_t step, uint64_t attempt) override {
    pruned.emplace_back(step, attempt);
    return absl::OkStatus();
  }
  absl::Status SaveTrouble(muster_save_trouble, uint64_t, const std::string& text) override {
    if (this != Silent()) troubles.push_back(text);
    return absl::OkStatus();
  }

  int stop_after_steps = 0;
  int save_after_steps = 0;
  muster_rank_status last = {};
  double last_stragglers = 0;
  bool last_from_memory = false;
  std::vector<uint64_t> requested;
  std::vector<uint64_t> done;
  std::vector<std::pair<uint64_t, uint64_t>> pruned;
  std::vector<std::string> troubles;  // "": over

 private:
  Commits commits_;
  int asked_ = 0;
  int polls_ = 0;
};

}  // namespace muster::trainer::loop
