#include "cli/job_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(JobDescription, TellsWhichAttemptsWentOnFromMemory) {
  v1::Job job;
  for (const uint64_t first : {0u, 47u, 40u}) {
    v1::Attempt* attempt = job.add_attempts();
    attempt->set_number(static_cast<uint64_t>(job.attempts_size()));
    attempt->set_first_step(first);
    attempt->set_last_step(first + 8);
    attempt->set_from_memory(first == 47);
  }
  EXPECT_THAT(JobDescription(job, 0), AllOf(HasSubstr("  0..8 "), HasSubstr("  47..55 (memory) "),
                                            HasSubstr("  40..48 "), Not(HasSubstr("48 (memory)"))));
}

}  // namespace
}  // namespace muster::cli
