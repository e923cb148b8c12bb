// muster-worker itself, with real shims and `sh` ranks, against a coordinator of the test's own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "muster/v1/worker_gateway.grpc.pb.h"

namespace muster::worker::daemon {
namespace {

using ::testing::HasSubstr;

std::string Binaries() {
  const char* folder = getenv("MUSTER_BIN");
  return folder != nullptr ? folder : "build/bin";
}

// Welcomes one worker at a time and remembers the newest it heard.
class Coordinator : public v1::WorkerGateway::Service {
 public:
  Coordinator() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~Coordinator() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Connect(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* stream) override {
    v1::WorkerMessage message;
    while (stream->Read(&message)) {
      if (message.has_hello()) {
        if (refuse) return {grpc::StatusCode::FAILED_PRECONDITION, "wrong cluster"};
        v1::CoordinatorMessage welcome;
        welcome.set_epoch(4);
        welcome.mutable_welcome()->set_cluster_id("c1");
        welcome.mutable_welcome()->set_heartbeat_interval_ms(50);
        stream->Write(welcome);
        absl::MutexLock lock(&mutex_);
        stream_ = stream;
        hello_ = message.hello();
        ++hellos_;
        attempts_.clear();
      }
      absl::MutexLock lock(&mutex_);
      if (message.has_report()) attempts_[message.report().attempt()] = message.report();
      if (message.has_heartbeat()) {
        attempts_.clear();
        for (const auto& one : message.heartbeat().attempts()) attempts_[one.attempt()] = one;
      }
    }
    absl::MutexLock lock(&mutex_);
    if (stream_ == stream) stream_ = nullptr;
    return grpc::Status::OK;
  }

  void Send(v1::CoordinatorMessage message) {
    message.set_epoch(4);
    absl::MutexLock lock(&mutex_);
    ASSERT_NE(stream_, nullptr);
    stream_->Write(message);
  }

  // Waits until the newest word of the worker about attempt 7.1 satisfies.
  v1::AttemptReport Await(const std::function<bool(const v1::AttemptReport&)>& satisfies) {
    absl::MutexLock lock(&mutex_);
    const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return attempts_.count(1) != 0 && satisfies(attempts_[1]);
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&ready), absl::Seconds(30)))
        << "last heard: " << attempts_[1].DebugString();
    return attempts_[1];
  }
  v1::WorkerHello AwaitHello(int number) {
    absl::MutexLock lock(&mutex_);
    const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return hellos_ >= number; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&ready), absl::Seconds(30)));
    return hello_;
  }
  void AwaitForgotten() {
    absl::MutexLock lock(&mutex_);
    const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return attempts_.empty(); };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&ready), absl::Seconds(30)));
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  bool refuse = false;

 private:
  absl::Mutex mutex_;
  grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* stream_ = nullptr;
  v1::WorkerHello hello_;
  int hellos_ = 0;
  std::map<uint64_t, v1::AttemptReport> attempts_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    char name[] = "/tmp/muster-worker-test-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~DaemonTest() override {
    if (pid_ > 0) Signal(SIGKILL);
    std::error_code error;
    std::filesystem::remove_all(dir_, error);
    EXPECT_FALSE(error) << error.message();
  }

  int Launch() {
    const std::string program = Binaries() + "/muster-worker";
    const int pid = fork();
    if (pid == 0) {
      const int log = open((dir_ + "/worker.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 2);
      const std::string state = dir_ + "/state";
      const std::string coordinator = coordinator_.address();
      execl(program.c_str(), program.c_str(), "--node", "n1", "--state", state.c_str(), "--slots",
            "2", "--orphan-grace-ms", "20000", "--coordinator", coordinator.c_str(), nullptr);
      _exit(127);
    }
    return pid;
  }
  void Signal(int number) {
    kill(pid_, number);
    waitpid(pid_, &status_, 0);
    pid_ = 0;
  }
  int ExitOf(int pid) {
    waitpid(pid, &status_, 0);
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }
  std::string Log() const {
    std::stringstream text;
    text << std::ifstream(dir_ + "/worker.log").rdbuf();
    return text.str();
  }

  v1::AttemptReport StartTwoRanks(const std::string& script) {
    v1::CoordinatorMessage message;
    v1::StartRanks& start = *message.mutable_start();
    start.set_job_id(7);
    start.set_job_uid("sleepers-7-c0ffee");
    start.set_attempt(1);
    v1::GangOrder gang;
    gang.mutable_spec()->set_name("sleepers");
    for (const char* word : {"sh", "-c", script.c_str()}) {
      gang.mutable_spec()->mutable_program()->add_command(word);
    }
    v1::Axis& axis = *gang.mutable_spec()->add_mesh();
    axis.set_name("data");
    axis.set_size(2);
    v1::NodeRun& run = *gang.add_nodes();
    run.set_name("n1");
    run.set_nodes(1);
    run.set_ranks(2);
    start.set_gang(gang.SerializeAsString());
    start.set_world_size(2);
    start.set_nodes(1);
    start.set_root_address(coordinator_.AwaitHello(1).peer_address());
    v1::NodeShare& share = *start.mutable_share();
    share.set_node("n1");
    share.set_ranks(2);
    share.add_slots(0);
    share.add_slots(1);
    coordinator_.Send(message);
    return coordinator_.Await(Running);
  }
  static bool Running(const v1::AttemptReport& report) {
    return report.ranks_size() == 2 && report.ranks(0).state() == v1::RANK_STATE_RUNNING &&
           report.ranks(1).state() == v1::RANK_STATE_RUNNING;
  }
  static bool Stopped(const v1::AttemptReport& report) {
    return report.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED;
  }
  void Release() {
    v1::CoordinatorMessage message;
    message.mutable_release()->set_job_id(7);
    message.mutable_release()->set_attempt(1);
    coordinator_.Send(message);
    coordinator_.AwaitForgotten();
    // The shim ends and the folder goes a little later; nothing may be left for the next test.
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (std::filesystem::exists(dir_ + "/state/attempts/7.1") && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(2));
    }
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/state/attempts/7.1"));
  }
  // 0 while its process cannot be told.
  int ShimPid() const {
    std::ifstream file(dir_ + "/state/attempts/7.1/processes");
    std::string line;
    while (std::getline(file, line)) {
      if (line.ends_with(" shim")) return std::stoi(line);
    }
    return 0;
  }

  Coordinator coordinator_;
  std::string dir_;
  int pid_ = 0;
  int status_ = 0;
};

TEST_F(DaemonTest, StartsReportsStopsAndForgets) {
  pid_ = Launch();
  const v1::WorkerHello hello = coordinator_.AwaitHello(1);
  EXPECT_EQ(hello.node(), "n1");
  EXPECT_EQ(hello.slots(), 2u);
  const v1::AttemptReport running = StartTwoRanks("echo here; exec sleep 1000");
  v1::CoordinatorMessage message;
  message.mutable_stop()->set_job_id(7);
  message.mutable_stop()->set_attempt(1);
  coordinator_.Send(message);
  const v1::AttemptReport stopped = coordinator_.Await(Stopped);
  ASSERT_EQ(stopped.ranks_size(), 2);
  for (const v1::RankReport& rank : stopped.ranks()) {
    EXPECT_EQ(rank.state(), v1::RANK_STATE_EXITED);
    EXPECT_TRUE(rank.stopped_by_us());
  }
  for (const v1::RankReport& rank : running.ranks()) {
    EXPECT_NE(kill(static_cast<pid_t>(rank.pid()), 0), 0);
  }
  Release();
  Signal(SIGTERM);
  EXPECT_EQ(status_, 0);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/state/address"));
  std::ifstream log(dir_ + "/state/logs/sleepers-7-c0ffee/1/0/stdout.log");
  std::string line;
  EXPECT_TRUE(std::getline(log, line));
  EXPECT_EQ(line, "here");
}

TEST_F(DaemonTest, RestartedWorkerReportsTheSameRanks) {
  pid_ = Launch();
  coordinator_.AwaitHello(1);
  const v1::AttemptReport before = StartTwoRanks("exec sleep 1000");
  Signal(SIGKILL);
  pid_ = Launch();
  const v1::WorkerHello hello = coordinator_.AwaitHello(2);
  EXPECT_EQ(hello.incarnation(), 2u);
  EXPECT_EQ(hello.highest_epoch(), 4u);
  EXPECT_EQ(hello.cluster_id(), "c1");
  ASSERT_EQ(hello.attempts_size(), 1);
  ASSERT_EQ(hello.attempts(0).ranks_size(), 2);
  for (int rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(hello.attempts(0).ranks(rank).pid(), before.ranks(rank).pid());
    EXPECT_EQ(hello.attempts(0).ranks(rank).state(), v1::RANK_STATE_RUNNING);
  }
  v1::CoordinatorMessage message;
  message.mutable_stop()->set_job_id(7);
  message.mutable_stop()->set_attempt(1);
  coordinator_.Send(message);
  coordinator_.Await(Stopped);
  Release();
}

TEST_F(DaemonTest, KilledShimIsCleanedAndReported) {
  pid_ = Launch();
  coordinator_.AwaitHello(1);
  const v1::AttemptReport running = StartTwoRanks("exec sleep 1000");
  ASSERT_GT(ShimPid(), 0);
  kill(ShimPid(), SIGKILL);
  const v1::AttemptReport stopped = coordinator_.Await(Stopped);
  ASSERT_EQ(stopped.ranks_size(), 2);
  for (const v1::RankReport& rank : stopped.ranks()) {
    EXPECT_EQ(rank.signal(), SIGKILL);
    EXPECT_EQ(rank.error(), "shim died");
  }
  for (const v1::RankReport& rank : running.ranks()) {
    EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(rank.pid()) + "/exe"));
  }
  Release();
}

TEST_F(DaemonTest, RankThatFailsIsReportedWithItsExitCode) {
  pid_ = Launch();
  coordinator_.AwaitHello(1);
  const std::string fifo = dir_ + "/go";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  StartTwoRanks("[ $MUSTER_RANK = 0 ] && exec sleep 1000; read x < " + fifo + "; exit 3");
  std::ofstream(fifo) << "now\n";
  const v1::AttemptReport stopped = coordinator_.Await(Stopped);
  EXPECT_EQ(stopped.ranks(1).exit_code(), 3);
  EXPECT_TRUE(stopped.ranks(0).stopped_by_us());
  Release();
}

TEST_F(DaemonTest, SecondWorkerOnOneStateFolderIsRefused) {
  pid_ = Launch();
  coordinator_.AwaitHello(1);
  EXPECT_EQ(ExitOf(Launch()), 1);
  EXPECT_THAT(Log(), HasSubstr("another muster-worker uses it"));
}

TEST_F(DaemonTest, CoordinatorThatRefusesEndsTheWorkerWithItsReason) {
  coordinator_.refuse = true;
  EXPECT_EQ(ExitOf(Launch()), 1);
  EXPECT_THAT(Log(), HasSubstr("refused this worker: wrong cluster"));
}

}  // namespace
}  // namespace muster::worker::daemon
