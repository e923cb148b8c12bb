// Real shims, each with the test as its worker.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "muster/v1/shim.pb.h"
#include "worker/shim/frame.h"

namespace muster::worker::shim {

inline constexpr int64_t kTestDeadlineMs = 60000;

// One node's shim and the worker's end of its socket.
class TestNode {
 public:
  TestNode(std::string root, std::string name);
  ~TestNode();
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  const std::string& folder() const { return folder_; }
  const std::string& name() const { return name_; }
  int pid() const { return pid_; }
  const v1::AttemptReport& report() const { return report_; }
  const v1::RankReport& rank(uint32_t rank) const;

  void Start(v1::ShimOrder order);
  void Connect();
  void Disconnect();
  bool connected() const { return fd_ >= 0; }
  void Send(const v1::WorkerToShim& message);
  void Stop(uint32_t grace_ms);
  void Exit();

  // Takes what comes until `wanted` holds; false when the shim hung up or the deadline passed.
  bool Until(const std::function<bool()>& wanted);
  bool UntilState(v1::RankState state);  // of every rank
  bool UntilStopped();
  // Waits for the shim's own end; its exit code, or -1.
  int WaitForEnd();
  std::string Log(uint32_t rank, const std::string& stream) const;

  // Messages other than reports, as they come.
  std::function<void(const v1::ShimToWorker&)> on_message;
  // Reads once, waiting at most this long.
  bool Pump(int timeout_ms);

 private:
  std::string name_;
  std::string folder_;
  std::string log_dir_;
  int pid_ = 0;
  int fd_ = -1;
  FrameReader reader_;
  v1::AttemptReport report_;
};

class ShimTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // An order for `ranks` ranks on each of `nodes` nodes (n0, n1, ...); of node `node`.
  static v1::ShimOrder Order(uint32_t nodes, uint32_t ranks, uint32_t node,
                             const std::vector<std::string>& command);
  static void ChangeGang(v1::ShimOrder& order, const std::function<void(v1::GangOrder&)>& change);
  static v1::ShimOrder Shell(const std::string& script, uint32_t ranks = 2);

  // Nothing of the node's attempt is left: processes, shared memory, temporary files.
  static void ExpectNoTraces(const TestNode& node);

  std::string root_;
};

}  // namespace muster::worker::shim
