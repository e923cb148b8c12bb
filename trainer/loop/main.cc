// muster-train: one rank of a training job; also samples from and evaluates checkpoints.
//
// MUSTER_TEST_FAIL makes a rank fail on purpose, in tests only (fail_injection.h).
#include <malloc.h>
#include <omp.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "checkpoint/file_system.h"
#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "trainer/collective/in_process/in_process.h"
#include "trainer/collective/mpi/mpi_collective.h"
#include "trainer/kernels/cpu/flush_denormals.h"
#include "trainer/loop/command_line.h"
#include "trainer/loop/evaluation.h"
#include "trainer/loop/rank_groups.h"
#include "trainer/loop/training.h"

namespace muster::trainer::loop {
namespace {

// Saves bring their own threads, and each arena of the allocator keeps the most it ever held: with
// one per thread a rank would grow for hundreds of saves.
constexpr int kArenasMax = 2;

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitPerson = 3;
constexpr int kExitStopped = 75;

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDataLoss:
      return kExitPerson;
    default:
      return kExitError;
  }
}

std::string Env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void Problem(const std::string& line) {
  std::fprintf(stderr, "muster-train: %s\n", line.c_str());
  std::fflush(stderr);
}

int Fail(const absl::Status& status) {
  Problem(std::string(status.message()));
  return ExitCode(status);
}

absl::StatusOr<TrainingOptions> MakeOptions(const RunFlags& flags) {
  TrainingOptions options;
  MUSTER_ASSIGN_OR_RETURN(options.config, ReadTrainConfig(flags.config));
  const TrainConfig& config = options.config;
  options.checkpoints =
      flags.checkpoints.empty() ? config.checkpoint_path + "/" + config.name : flags.checkpoints;
  options.job_uid = Env("MUSTER_JOB_UID").empty() ? config.name : Env("MUSTER_JOB_UID");
  options.attempt = flags.attempt;
  if (!flags.resume.empty()) {
    std::ifstream file(flags.resume);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return ErrnoError(errno, "read " + flags.resume);
    MUSTER_ASSIGN_OR_RETURN(options.permitted, checkpoint::ParsePermitted(text.str()));
  }
  if (const std::string mesh = Env("MUSTER_MESH"); !mesh.empty()) {
    if (mesh != config.mesh.ToString()) {
      return InvalidArgument("{}: mesh is {}, but the worker started the ranks for {}",
                             flags.config, config.mesh.ToString(), mesh);
    }
  }
  options.verify_data = Env("MUSTER_LOCAL_RANK").empty() ? Env("OMPI_COMM_WORLD_LOCAL_RANK") != "1"
                                                         : Env("MUSTER_LOCAL_RANK") == "0";
  if (const std::string fail = Env("MUSTER_TEST_FAIL"); !fail.empty()) {
    MUSTER_ASSIGN_OR_RETURN(options.fail, ParseFailInjection(fail));
  }
  options.vault.folder = Env("MUSTER_VAULT");
  options.vault.bytes = std::strtoull(Env("MUSTER_VAULT_BYTES").c_str(), nullptr, 10);
  options.vault.since = std::strtoull(Env("MUSTER_VAULT_SINCE").c_str(), nullptr, 10);
  options.vault.worker_drains = Env("MUSTER_VAULT_DRAINS") == "1";
  options.vault.replicated = Env("MUSTER_VAULT_REPLICATED") == "1";
  options.console.out = [](const std::string& line) {
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);
  };
  options.console.problem = Problem;
  return options;
}

int Run(const RunFlags& flags) {
  absl::StatusOr<TrainingOptions> options = MakeOptions(flags);
  if (!options.ok()) return Fail(options.status());
  omp_set_num_threads(options->config.threads_per_rank);
  absl::StatusOr<std::unique_ptr<RankLink>> link = OpenWorkerLink();
  if (!link.ok()) return Fail(link.status());
  auto world = collective::OpenMpiWorld(std::atoi(Env("MUSTER_WORLD_SIZE").c_str()));
  // Without a goodbye: ranks that MPI still waits for may never come.
  if (!world.ok()) std::_Exit(Fail(world.status()));
  const absl::StatusOr<TrainingResult> result =
      RunTraining(*options, **world, link->get(), checkpoint::PosixFiles());
  if (!result.ok() && !rank::SaidByAll(result.status())) std::_Exit(Fail(result.status()));
  int code = result.ok() ? (result->stopped ? kExitStopped : 0) : ExitCode(result.status());
  // On every rank: whichever the worker sees end first must have said why.
  if (!result.ok()) Problem(std::string(result.status().message()));
  world->reset();
  if (const absl::Status closed = collective::CloseMpiWorld(); !closed.ok()) code = Fail(closed);
  return code;
}

// Outside a job there is no worker to tell a damaged file from a bug: both are errors.
int FailReading(const absl::Status& status) {
  Problem(std::string(status.message()));
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitError;
}

int Sample(const SampleFlags& flags) {
  auto trained = LoadTrainedModel(flags.checkpoint, 1);
  if (!trained.ok()) return FailReading(trained.status());
  auto tokenizer = TokenizerOf(trained->manifest.run, flags.data);
  if (!tokenizer.ok()) return FailReading(tokenizer.status());
  std::fputs(flags.sampling.prompt.c_str(), stdout);
  const absl::Status status =
      SampleText(*trained, **tokenizer, flags.sampling, [](std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
      });
  std::fputs("\n", stdout);
  return status.ok() ? 0 : FailReading(status);
}

int Logits(const LogitsFlags& flags) {
  auto trained = LoadTrainedModel(flags.checkpoint, 1);
  if (!trained.ok()) return FailReading(trained.status());
  auto tokenizer = TokenizerOf(trained->manifest.run, flags.data);
  if (!tokenizer.ok()) return FailReading(tokenizer.status());
  for (const std::string& prompt : flags.prompts) {
    const absl::StatusOr<std::string> line = LogitsJson(*trained, **tokenizer, prompt);
    if (!line.ok()) return FailReading(line.status());
    std::printf("%s\n", line->c_str());
  }
  return 0;
}

absl::StatusOr<std::string> Evaluate(const EvalFlags& flags) {
  MUSTER_ASSIGN_OR_RETURN(TrainedModel trained, LoadTrainedModel(flags.checkpoint, flags.batch));
  const std::string data = flags.data.empty() ? trained.manifest.run.dataset_path : flags.data;
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<data::Batches> batches,
                          data::Batches::Open(data, trained.model->config().context, flags.batch,
                                              trained.manifest.run.seed));
  const std::string tokenizer = dataset::TokenizerReference(batches->dataset().info());
  if (tokenizer != trained.manifest.run.tokenizer) {
    return FailedPrecondition("{}: has the tokenizer {:.16}, the model was trained with {:.16}",
                              data, tokenizer, trained.manifest.run.tokenizer);
  }
  auto world = collective::MakeInProcessWorld(1);
  MUSTER_ASSIGN_OR_RETURN(parallel::Mesh mesh, parallel::Mesh::Parse("data=1"));
  MUSTER_ASSIGN_OR_RETURN(RankGroups groups, MakeRankGroups(mesh, *world[0]));
  MUSTER_ASSIGN_OR_RETURN(double bits_per_byte, BitsPerByte(*trained.model, trained.params.span(),
                                                            *batches, flags.samples, groups));
  return fmt::format("step {} bits_per_byte {:.4f} over {} windows", trained.manifest.step,
                     bits_per_byte, batches->HeldOutWindows(flags.samples));
}

int Main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, kArenasMax);
  kernels::cpu::FlushDenormals();
  const CommandLine line = ParseCommandLine(argc, argv);
  switch (line.verb) {
    case Verb::kRun:
      return Run(line.run);
    case Verb::kSample:
      return Sample(line.sample);
    case Verb::kEval: {
      const absl::StatusOr<std::string> result = Evaluate(line.eval);
      if (!result.ok()) return FailReading(result.status());
      std::printf("%s\n", result->c_str());
      return 0;
    }
    case Verb::kLogits:
      return Logits(line.logits);
    case Verb::kExit:
      std::fputs(line.message.c_str(), line.exit_code == 0 ? stdout : stderr);
      return line.exit_code;
  }
  return kExitError;
}

}  // namespace
}  // namespace muster::trainer::loop

int main(int argc, char** argv) { return muster::trainer::loop::Main(argc, argv); }
