// Loads of jobs for tests/bench/jobs_bench.py and tests/e2e/submit_test.py.
//
//   jobs_load history STATE_FOLDER ENDED WAITING
//   jobs_load append FOLDER RECORDS CALLERS
//   jobs_load submit ADDRESS JOBS CLIENTS WORD
//   jobs_load check ADDRESS JOBS CLIENTS WORD      (as submit, with validate_only)
//   jobs_load ask ADDRESS ENDED_JOB WAITING_JOB TIMES
#include "tests/bench/jobs_load.h"

#include <cstdio>
#include <vector>

#include "absl/strings/numbers.h"
#include "common/check.h"
#include "common/status.h"
#include "spec/yaml.h"

namespace muster::bench {
namespace {

constexpr char kUsage[] =
    "usage: jobs_load history STATE_FOLDER ENDED WAITING | append FOLDER RECORDS CALLERS |\n"
    "       submit|check ADDRESS JOBS CLIENTS WORD | ask ADDRESS ENDED_JOB WAITING_JOB TIMES\n";

absl::StatusOr<uint32_t> Number(const std::string& word) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(word, &number)) return InvalidArgument("\"{}\": not a number", word);
  return number;
}

absl::Status Run(const std::vector<std::string>& words) {
  const std::string what = words.empty() ? "" : words[0];
  const bool submits = what == "submit" || what == "check";
  if (what == "history" && words.size() == 4) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t ended, Number(words[2]));
    MUSTER_ASSIGN_OR_RETURN(const uint32_t waiting, Number(words[3]));
    return WriteHistory(words[1], {.ended = ended, .waiting = waiting});
  }
  if (what == "append" && words.size() == 4) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t records, Number(words[2]));
    MUSTER_ASSIGN_OR_RETURN(const uint32_t callers, Number(words[3]));
    return AppendLoad(words[1], records, callers);
  }
  if (submits && words.size() == 5) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t jobs, Number(words[2]));
    MUSTER_ASSIGN_OR_RETURN(const uint32_t clients, Number(words[3]));
    return SubmitAndCheck({.address = words[1],
                           .jobs = jobs,
                           .clients = clients,
                           .word = words[4],
                           .check_only = what == "check"});
  }
  if (what == "ask" && words.size() == 5) {
    MUSTER_ASSIGN_OR_RETURN(const uint32_t ended, Number(words[2]));
    MUSTER_ASSIGN_OR_RETURN(const uint32_t waiting, Number(words[3]));
    MUSTER_ASSIGN_OR_RETURN(const uint32_t times, Number(words[4]));
    return AskLoad(words[1], ended, waiting, times);
  }
  return InvalidArgument("{}", kUsage);
}

}  // namespace

v1::JobSpec OrdinaryJob(const std::string& name, uint32_t ranks) {
  const std::string text = fmt::format(R"(
apiVersion: muster/v1
kind: TrainJob
name: {}
mesh: {{data: {}}}
resources: {{slots_per_rank: 1}}
train:
  model: {{layers: 24, d_model: 2048, heads: 16, kv_heads: 8, ffn: 5504, context: 2048}}
  data: {{path: /data/tokens}}
  batch: {{global: {}, micro: 1}}
  optimizer: {{lr: 3.0e-4, warmup_steps: 100, weight_decay: 0.1}}
  steps: 1000
  collective: mpi
checkpoint: {{path: /data/checkpoints, every_steps: 100, keep: 3}}
)",
                                       name, ranks, ranks);
  auto spec = spec::ParseAndValidateJobFile(text, name);
  CHECK(spec.ok(), "{}", std::string(spec.status().message()));
  return *std::move(spec);
}

}  // namespace muster::bench

int main(int argc, char** argv) {
  const absl::Status status = muster::bench::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (status.ok()) return 0;
  std::fprintf(stderr, "jobs_load: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
