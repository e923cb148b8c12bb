#include "shim_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "worker/shim/cleanup.h"
#include "worker/shim/client.h"
#include "worker/shim/folder.h"
#include "worker/shim/loop.h"
#include "worker/shim/process_table.h"

namespace muster::worker::shim {

TestNode::TestNode(std::string root, std::string name)
    : name_(std::move(name)), folder_(root + "/" + name_), log_dir_(root + "/logs") {}

TestNode::~TestNode() {
  Disconnect();
  if (std::filesystem::exists(folder_)) {
    const absl::Status status = CleanUpAttempt(folder_);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

const v1::RankReport& TestNode::rank(uint32_t number) const {
  static const v1::RankReport none;
  for (const v1::RankReport& rank : report_.ranks()) {
    if (rank.rank() == number) return rank;
  }
  return none;
}

void TestNode::Start(v1::ShimOrder order) {
  order.set_log_dir(log_dir_);
  const absl::StatusOr<int> pid = StartShim(MUSTER_SHIM, folder_, order);
  ASSERT_TRUE(pid.ok()) << pid.status().message();
  pid_ = *pid;
  Connect();
}

void TestNode::Connect() {
  reader_ = FrameReader();
  const int64_t deadline_ms = MonotonicMs() + kTestDeadlineMs;
  while (MonotonicMs() < deadline_ms) {
    const absl::StatusOr<int> fd = ConnectShim(folder_);
    if (fd.ok()) {
      fd_ = *fd;
      return;
    }
    poll(nullptr, 0, 5);
    if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      break;
    }
  }
  FAIL() << "no shim: " << ReadFile(folder_ + "/" + kLogFile).value_or("(no log)");
}

void TestNode::Disconnect() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void TestNode::Send(const v1::WorkerToShim& message) {
  std::string bytes;
  AppendFrame(message, &bytes);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t sent = send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      pollfd entry = {fd_, POLLOUT, 0};
      poll(&entry, 1, 1000);
    } else {
      return;
    }
  }
}

void TestNode::Stop(uint32_t grace_ms) {
  v1::WorkerToShim message;
  message.mutable_stop()->set_grace_ms(grace_ms);
  message.mutable_stop()->set_reason("test");
  Send(message);
}

void TestNode::Exit() {
  v1::WorkerToShim message;
  message.mutable_exit();
  Send(message);
}

bool TestNode::Pump(int timeout_ms) {
  if (fd_ < 0) return false;
  pollfd entry = {fd_, POLLIN, 0};
  if (poll(&entry, 1, timeout_ms) <= 0) return true;
  char block[65536];
  const ssize_t got = recv(fd_, block, sizeof(block), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN)) {
    Disconnect();
    return false;
  }
  if (got > 0) reader_.Add(block, static_cast<size_t>(got));
  for (;;) {
    const absl::StatusOr<std::optional<std::string>> frame = reader_.Next();
    if (!frame.ok() || !frame->has_value()) return frame.ok();
    v1::ShimToWorker message;
    EXPECT_TRUE(message.ParseFromString(**frame));
    if (message.has_report()) {
      EXPECT_GT(message.report().report(), report_.report());
      report_ = message.report();
    } else if (on_message) {
      on_message(message);
    }
  }
}

bool TestNode::Until(const std::function<bool()>& wanted) {
  const int64_t deadline_ms = MonotonicMs() + kTestDeadlineMs;
  while (!wanted()) {
    if (MonotonicMs() > deadline_ms || !Pump(100)) return wanted();
  }
  return true;
}

bool TestNode::UntilState(v1::RankState state) {
  return Until([&] {
    return report_.ranks_size() > 0 &&
           std::all_of(report_.ranks().begin(), report_.ranks().end(),
                       [&](const v1::RankReport& rank) { return rank.state() == state; });
  });
}

bool TestNode::UntilStopped() {
  return Until([&] { return report_.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED; });
}

int TestNode::WaitForEnd() {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  pollfd entry = {fd, POLLIN, 0};
  const bool ended = poll(&entry, 1, static_cast<int>(kTestDeadlineMs)) > 0;
  close(fd);
  int status = 0;
  if (!ended || waitpid(pid_, &status, 0) != pid_) return -1;
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string TestNode::Log(uint32_t rank, const std::string& stream) const {
  return ReadFile(log_dir_ + "/" + std::to_string(rank) + "/" + stream + ".log")
      .value_or("(no log)");
}

void ShimTest::SetUp() {
  char path[] = "/tmp/muster-shim-test.XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  root_ = path;
}

void ShimTest::TearDown() { std::filesystem::remove_all(root_); }

v1::ShimOrder ShimTest::Order(uint32_t nodes, uint32_t ranks, uint32_t node,
                              const std::vector<std::string>& command) {
  v1::ShimOrder order;
  order.set_node("n" + std::to_string(node));
  order.set_orphan_grace_ms(60000);
  order.set_host_address("127.0.0.1");
  v1::StartRanks* start = order.mutable_start();
  start->set_job_id(7);
  start->set_job_uid("test-7-abcdef");
  start->set_attempt(2);
  v1::GangOrder gang;
  v1::JobSpec* spec = gang.mutable_spec();
  spec->set_name("test");
  v1::Axis* axis = spec->add_mesh();
  axis->set_name("data");
  axis->set_size(nodes * ranks);
  spec->mutable_resources()->set_slots_per_rank(1);
  for (const std::string& word : command) spec->mutable_program()->add_command(word);
  v1::NodeRun* run = gang.add_nodes();
  run->set_name("n0");
  run->set_nodes(nodes);
  run->set_ranks(ranks);
  start->set_gang(gang.SerializeAsString());
  start->set_world_size(nodes * ranks);
  start->set_nodes(nodes);
  start->set_node_index(node);
  start->set_root_address("127.0.0.1:1");
  v1::NodeShare* share = start->mutable_share();
  share->set_node(order.node());
  share->set_first_rank(node * ranks);
  share->set_ranks(ranks);
  for (uint32_t local = 0; local < ranks; ++local) share->add_slots(local);
  return order;
}

void ShimTest::ChangeGang(v1::ShimOrder& order, const std::function<void(v1::GangOrder&)>& change) {
  v1::GangOrder gang;
  ASSERT_TRUE(gang.ParseFromString(order.start().gang()));
  change(gang);
  order.mutable_start()->set_gang(gang.SerializeAsString());
}

v1::ShimOrder ShimTest::Shell(const std::string& script, uint32_t ranks) {
  return Order(1, ranks, 0, {"sh", "-c", script});
}

void ShimTest::ExpectNoTraces(const TestNode& node) {
  const std::string scope = *ScopeOf(node.folder());
  EXPECT_TRUE(ProcessesInScope(scope).empty());
  EXPECT_FALSE(std::filesystem::exists(SharedMemoryFolder(scope)));
  for (const char* name : {kSocketFile, kTempFolder, kPmixFolder}) {
    EXPECT_FALSE(std::filesystem::exists(node.folder() + "/" + name)) << name;
  }
}

}  // namespace muster::worker::shim
