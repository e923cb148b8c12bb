// A program of its own: it forks, which gRPC does not like once it has run.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/coordinator_rpc/running_coordinator.h"

namespace muster {
namespace {

// A limit on the size of files stands for the full disk. The child submits until the journal
// fails; nothing it was told of may be missing afterwards.
TEST(FullDisk, StopsTheCoordinatorAndNothingItPromisedIsLost) {
  TempFolder temp;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    coordinator::daemon::CoordinatorOptions options;
    options.listen = "127.0.0.1:0";
    options.state_path = temp.path();
    auto started = coordinator::daemon::Coordinator::Start(options);
    if (!started.ok()) _exit(1);
    const rlimit limit = {300'000, 300'000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
    const auto jobs = v1::JobService::NewStub(
        grpc::CreateChannel((*started)->address(), grpc::InsecureChannelCredentials()));
    absl::Status ended;
    std::thread waiter([&] { ended = (*started)->Wait(); });
    uint64_t promised = 0;
    for (int i = 0; i < 10'000; ++i) {
      v1::SubmitJobRequest request = RunningCoordinator::TwoRanks(fmt::format("job{}", i));
      request.mutable_spec()->mutable_program()->add_command(std::string(10'000, 'x'));
      v1::SubmitJobResponse response;
      const grpc::Status status =
          jobs->SubmitJob(RunningCoordinator::Context().get(), request, &response);
      if (!status.ok()) break;
      promised = response.job().id();
      if (i == 0 && promised == 0) _exit(3);
    }
    waiter.join();
    if (ended.ok()) _exit(4);
    if (write(ends[1], &promised, sizeof promised) != sizeof promised) _exit(5);
    started->reset();
    _exit(0);
  }
  close(ends[1]);
  uint64_t promised = 0;
  ASSERT_EQ(read(ends[0], &promised, sizeof promised), static_cast<ssize_t>(sizeof promised));
  close(ends[0]);
  int state = 0;
  waitpid(child, &state, 0);
  EXPECT_EQ(state, 0);
  EXPECT_GT(promised, 5);
  RunningCoordinator coordinator(temp.path());
  EXPECT_EQ(coordinator.Job(promised).id(), promised);
}

}  // namespace
}  // namespace muster
