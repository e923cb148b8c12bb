// A real coordinator, killed at every call of its journal while commits are asked for, recorded and
// reported, and while an attempt gives way to the next. After each restart: a permit that was
// answered is there, a commit that was acknowledged too, and no step has two owners.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "muster/v1/job_service.grpc.pb.h"
#include "tests/crash/doomed_process.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/coordinator_rpc/fake_worker.h"

namespace muster {
namespace {

constexpr char kNode[] = "n1";

// A sha256 in bytes.
std::string Manifest(uint64_t step, char which) {
  return std::string(31, static_cast<char>(step % 100)) + which;
}

class CoordinatorCrash : public testing::Test {
 protected:
  CoordinatorCrash() : page_(temp_.File("page")) {
    Start();
    Connect({});
    v1::SubmitJobRequest request;
    request.mutable_spec()->set_name("crash");
    v1::Axis* axis = request.mutable_spec()->add_mesh();
    axis->set_name("data");
    axis->set_size(1);
    request.mutable_spec()->mutable_resources()->set_slots_per_rank(1);
    request.mutable_spec()->mutable_program()->add_command("/bin/true");
    request.mutable_spec()->mutable_recovery()->set_attempts_without_progress(100);
    v1::SubmitJobResponse response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const grpc::Status status = jobs_->SubmitJob(&context, request, &response);
    CHECK(status.ok(), "submit: {}", status.error_message());
    order_ = worker_->Await(v1::CoordinatorMessage::kStart).start();
    worker_->Report(order_, v1::RANK_STATE_RUNNING);
  }

  std::string state() const { return temp_.File("state"); }

  void Start() {
    std::error_code ignored;
    std::filesystem::remove(state() + "/address", ignored);
    page_.KillAt(UINT64_MAX, CRASH_BEFORE);
    const std::string program = std::string(std::getenv("MUSTER_BIN")) + "/muster-coordinator";
    process_ = std::make_unique<DoomedProcess>(
        std::vector<std::string>{program, "--listen", "127.0.0.1:0", "--state", state(),
                                 "--quarantine-share", "0", "--log-level", "error"},
        state(), page_);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (address_.empty() || !std::filesystem::exists(state() + "/address")) {
      CHECK(std::chrono::steady_clock::now() < deadline, "the coordinator does not start");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::getline(std::ifstream(state() + "/address"), address_);
    }
    std::getline(std::ifstream(state() + "/address"), address_);
    channel_ = grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
    jobs_ = v1::JobService::NewStub(channel_);
  }

  void Connect(const std::vector<v1::AttemptReport>& attempts) {
    worker_ = std::make_unique<FakeWorker>(address_, kNode, 1, 1, cluster_id_);
    ASSERT_TRUE(worker_->Connect(attempts));
    cluster_id_ = worker_->welcome().cluster_id();
  }

  // After a death: a new life, and the worker is back with what runs on its node.
  void Restart(const std::vector<v1::AttemptReport>& attempts) {
    EXPECT_TRUE(process_->WasKilled());
    worker_.reset();
    address_.clear();
    Start();
    Connect(attempts);
  }

  v1::AttemptReport Running() {
    return FakeWorker::ReportOf(order_, kNode, v1::RANK_STATE_RUNNING, ++reports_ + 1000);
  }

  // The answer to a request; nullopt when the coordinator died over it.
  std::optional<bool> Ask(uint64_t attempt, uint64_t step, char which) {
    v1::WorkerMessage message;
    *message.mutable_commit_request() = Request(attempt, step, which);
    worker_->Say(message);
    while (true) {
      const auto reply = worker_->Next(v1::CoordinatorMessage::kCommitReply);
      if (!reply) return std::nullopt;
      if (reply->commit_reply().step() != step || reply->commit_reply().attempt() != attempt) {
        continue;
      }
      return reply->commit_reply().permitted();
    }
  }

  bool TellDone(uint64_t attempt, uint64_t step, char which) {
    v1::WorkerMessage message;
    const v1::CommitRequest request = Request(attempt, step, which);
    message.mutable_commit_done()->set_job_id(request.job_id());
    message.mutable_commit_done()->set_attempt(attempt);
    *message.mutable_commit_done()->mutable_checkpoint() = request.checkpoint();
    worker_->Say(message);
    return worker_->Next(v1::CoordinatorMessage::kCommitAck).has_value();
  }

  std::vector<v1::CheckpointRef> Known(uint64_t step) {
    v1::GetJobRequest request;
    request.set_job_id(order_.job_id());
    v1::GetJobResponse response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const grpc::Status status = jobs_->GetJob(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<v1::CheckpointRef> found;
    for (const v1::CheckpointRef& ref : response.job().checkpoints()) {
      if (ref.step() == step) found.push_back(ref);
    }
    return found;
  }

  // Its only rank dies.
  void SayItDied() {
    v1::WorkerMessage message;
    v1::AttemptReport& report = *message.mutable_report();
    report = FakeWorker::ReportOf(order_, kNode, v1::RANK_STATE_EXITED, ++reports_ + 1000);
    report.mutable_ranks(0)->set_signal(9);
    report.mutable_ranks(0)->set_exit_unix_us(1);
    worker_->Say(message);
  }

  v1::CommitRequest Request(uint64_t attempt, uint64_t step, char which) {
    v1::CommitRequest request;
    request.set_job_id(order_.job_id());
    request.set_attempt(attempt);
    request.mutable_checkpoint()->set_step(step);
    request.mutable_checkpoint()->set_attempt(attempt);
    request.mutable_checkpoint()->set_manifest_sha256(Manifest(step, which));
    request.mutable_checkpoint()->set_bytes(1 << 20);
    return request;
  }

  TempFolder temp_;
  MappedCrashPage page_;
  std::string address_, cluster_id_;
  std::unique_ptr<DoomedProcess> process_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<FakeWorker> worker_;
  v1::StartRanks order_;
  uint64_t reports_ = 0;
};

TEST_F(CoordinatorCrash, APermitAnsweredIsKeptAndAStepHasOneManifest) {
  uint64_t step = 0, deaths = 0, answered = 0, acknowledged = 0;
  for (const CrashWhen when : {CRASH_BEFORE, CRASH_AFTER, CRASH_HALF}) {
    for (uint64_t call = 0;; ++call) {
      step += 10;
      const std::string where = fmt::format("call {}, when {}", call, static_cast<int>(when));
      page_.KillAt(call, when);
      const std::optional<bool> first = Ask(1, step, 'a');
      EXPECT_TRUE(first.value_or(true)) << where;
      const bool done = first.has_value() && TellDone(1, step, 'a');
      page_.KillAt(UINT64_MAX, when);
      if (done && process_->IsRunning()) break;  // there was no such call
      ++deaths;
      answered += first.has_value() ? 1 : 0;
      acknowledged += done ? 1 : 0;
      Restart({Running()});
      const std::vector<v1::CheckpointRef> known = Known(step);
      EXPECT_LE(known.size(), 1u) << where;
      if (first.has_value()) {
        ASSERT_EQ(known.size(), 1u) << where;
        EXPECT_EQ(known[0].manifest_sha256(), Manifest(step, 'a')) << where;
      }
      if (done) {
        EXPECT_TRUE(known[0].committed()) << where;
      }
      // Another manifest may have it only if the first was never written down.
      const std::optional<bool> other = Ask(1, step, 'b'), again = Ask(1, step, 'a');
      ASSERT_TRUE(other.has_value() && again.has_value()) << where;
      EXPECT_NE(*other, *again) << where;
      EXPECT_EQ(*again, !known.empty()) << where;
      EXPECT_TRUE(TellDone(1, step, *again ? 'a' : 'b')) << where;
      EXPECT_EQ(Known(step).size(), 1u) << where;
    }
  }
  std::printf("  %zu deaths: %zu after the answer to the permit, %zu after the last answer\n",
              static_cast<size_t>(deaths), static_cast<size_t>(answered),
              static_cast<size_t>(acknowledged));
  EXPECT_GE(deaths, 12u);
  EXPECT_GT(answered, 0u);
}

TEST_F(CoordinatorCrash, AnAttemptThatWasReplacedGetsNoPermitAnyMore) {
  uint64_t step = 0, deaths = 0, replaced_before = 0;
  for (const CrashWhen when : {CRASH_BEFORE, CRASH_AFTER}) {
    for (uint64_t call = 0;; ++call) {
      step += 10;
      const std::string where = fmt::format("call {}, when {}", call, static_cast<int>(when));
      const uint64_t old = order_.attempt();
      ASSERT_TRUE(Ask(old, step, 'a').value_or(false)) << where;
      ASSERT_TRUE(TellDone(old, step, 'a')) << where;  // progress: the job is not given up
      page_.KillAt(call, when);
      SayItDied();
      const auto next = worker_->Next(v1::CoordinatorMessage::kStart);
      const std::optional<bool> late =
          next.has_value() ? Ask(old, step + 1, 'z') : std::optional<bool>();
      EXPECT_FALSE(late.value_or(false)) << where;
      page_.KillAt(UINT64_MAX, when);
      const bool died = !process_->IsRunning() || !late.has_value();
      if (died) {
        ++deaths;
        replaced_before += next.has_value() ? 1 : 0;
        v1::AttemptReport report =
            FakeWorker::ReportOf(order_, kNode, v1::RANK_STATE_EXITED, ++reports_ + 1000);
        report.mutable_ranks(0)->set_signal(9);
        Restart({report});
      }
      v1::StartRanks order;
      if (died) {
        const auto start = worker_->Next(v1::CoordinatorMessage::kStart);
        ASSERT_TRUE(start.has_value()) << where;
        order = start->start();
      } else {
        order = next->start();
      }
      EXPECT_EQ(order.attempt(), old + 1) << where;
      order_ = order;
      worker_->Report(order_, v1::RANK_STATE_RUNNING);
      // The same step by both: one owner.
      EXPECT_FALSE(Ask(old, step + 2, 'z').value_or(true)) << where;
      EXPECT_TRUE(Ask(order_.attempt(), step + 2, 'a').value_or(false)) << where;
      EXPECT_FALSE(Ask(old, step + 2, 'a').value_or(true)) << where;
      EXPECT_EQ(Known(step + 2).size(), 1u) << where;
      if (!died) break;
    }
  }
  std::printf("  %zu deaths, %zu of them after the next attempt was told to start\n",
              static_cast<size_t>(deaths), static_cast<size_t>(replaced_before));
  EXPECT_GE(deaths, 8u);
}

}  // namespace
}  // namespace muster
