// Which checkpoints count as what somebody asked to be saved.
#include "cli/save_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace muster::cli {
namespace {

using testing::HasSubstr;
using Kind = SaveVerdict::Kind;

constexpr SaveAsked kAsked{.attempt = 2, .unix_ms = 5000, .step = 40};

v1::CheckpointRef Ref(uint64_t step, int64_t unix_ms, uint64_t attempt = 2) {
  v1::CheckpointRef ref;
  ref.set_step(step);
  ref.set_attempt(attempt);
  ref.set_time_unix_ms(unix_ms);
  ref.set_committed(true);
  return ref;
}

v1::CheckpointRef Permitted(v1::CheckpointRef ref) {
  ref.set_committed(false);
  return ref;
}

v1::CheckpointRef Bad(v1::CheckpointRef ref) {
  ref.set_bad(true);
  return ref;
}

v1::Job JobWith(v1::AttemptState state, const std::vector<v1::CheckpointRef>& refs) {
  v1::Job job;
  job.set_id(7);
  job.set_state(state == v1::ATTEMPT_STATE_ENDED ? v1::JOB_STATE_QUEUED : v1::JOB_STATE_RUNNING);
  job.add_attempts()->set_number(1);
  job.mutable_attempts(0)->set_state(v1::ATTEMPT_STATE_ENDED);
  v1::Attempt* attempt = job.add_attempts();
  attempt->set_number(2);
  attempt->set_state(state);
  for (const v1::CheckpointRef& ref : refs) *job.add_checkpoints() = ref;
  return job;
}

struct Case {
  const char* name;
  v1::AttemptState state;
  std::vector<v1::CheckpointRef> refs;
  Kind kind;
  uint64_t step = 0;
};

TEST(SaveVerdict, OnlyWhatIsNoOlderCounts) {
  const v1::AttemptState runs = v1::ATTEMPT_STATE_RUNNING, stops = v1::ATTEMPT_STATE_STOPPING,
                         over = v1::ATTEMPT_STATE_ENDED;
  const std::vector<Case> cases = {
      {"nothing yet", runs, {}, Kind::kNotYet},
      {"committed before", runs, {Ref(40, 4999)}, Kind::kNotYet},
      {"an older step, begun before", runs, {Ref(39, 5001)}, Kind::kNotYet},
      {"only permitted", runs, {Permitted(Ref(41, 5001))}, Kind::kNotYet},
      {"marked bad", runs, {Bad(Ref(41, 5001))}, Kind::kNotYet},
      {"while it stops", stops, {}, Kind::kNotYet},
      {"the step it stood at", runs, {Ref(40, 5000)}, Kind::kSaved, 40},
      {"the next one", runs, {Ref(41, 5300), Ref(30, 1000)}, Kind::kSaved, 41},
      {"several", runs, {Ref(60, 5600), Ref(50, 5500), Ref(41, 5300)}, Kind::kSaved, 60},
      {"as it stops", stops, {Ref(44, 6000)}, Kind::kSaved, 44},
      {"its last step was saved just before", over, {Ref(40, 4999)}, Kind::kSaved, 40},
      {"that of another attempt was", over, {Ref(40, 4999, 1)}, Kind::kNever},
      {"over without", over, {Ref(39, 5100)}, Kind::kNever},
      {"over with nothing at all", over, {}, Kind::kNever},
      {"the next attempt came beyond it", over, {Ref(50, 9000, 3)}, Kind::kSaved, 50},
  };
  for (const Case& one : cases) {
    const SaveVerdict verdict = JudgeSave(kAsked, JobWith(one.state, one.refs));
    EXPECT_EQ(static_cast<int>(verdict.kind), static_cast<int>(one.kind)) << one.name;
    EXPECT_EQ(verdict.saved.step(), one.step) << one.name;
    EXPECT_EQ(verdict.why.empty(), one.kind != Kind::kNever) << one.name;
  }
}

TEST(SaveVerdict, SaysWhyThereWillBeNoneAndWhatToDo) {
  v1::Job job = JobWith(v1::ATTEMPT_STATE_ENDED, {});
  job.mutable_attempts(1)->mutable_cause()->set_text("rank 3 on n2 killed by SIGKILL in step 41");
  EXPECT_EQ(JudgeSave(kAsked, job).why,
            "attempt 2 ended before it had saved: rank 3 on n2 killed by SIGKILL in step 41; ask "
            "again once it runs: muster wait 7 --for running");
  job.set_state(v1::JOB_STATE_FAILED);
  EXPECT_THAT(JudgeSave(kAsked, job).why, HasSubstr("muster ckpt list 7"));
}

TEST(SaveVerdict, TheNewestOrderIsWaitedFor) {
  v1::Job job = JobWith(v1::ATTEMPT_STATE_RUNNING, {});
  EXPECT_FALSE(NewestSaveAsked(job).has_value());
  job.mutable_attempts(0)->set_saves_asked(1);
  EXPECT_EQ(NewestSaveAsked(job)->attempt, 1u);
  v1::Attempt* attempt = job.mutable_attempts(1);
  attempt->set_saves_asked(2);
  attempt->set_save_asked_unix_ms(5000);
  attempt->set_save_asked_step(40);
  EXPECT_EQ(NewestSaveAsked(job)->attempt, 2u);
  EXPECT_EQ(NewestSaveAsked(job)->unix_ms, 5000);
  EXPECT_EQ(NewestSaveAsked(job)->step, 40u);
}

}  // namespace
}  // namespace muster::cli
