// Runs a scenario: text commands in, the core's decisions out (tests/scenarios/README.md has the
// commands). Time stands still but for `advance`, which ticks every 100 ms and lets every worker
// that is connected and not silenced send its heartbeat every 500 ms.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/core/cluster.h"
#include "tests/scenarios/words.h"

namespace muster::scenarios {

class Script {
 public:
  Script();

  // Runs one command line; returns the trace.
  std::string Run(const std::string& line);
  // Empty, or how a replay of the records so far differs from the living cluster.
  std::string ReplayDifference() const;

 private:
  std::string Step(const coordinator::core::Input& input);
  std::string Restart();
  std::string Join(const Words& words);
  std::string Advance(const Words& words);
  // What a person asks for; nullopt when the verb is another. In requests.cc.
  std::optional<std::string> Request(const Words& words);
  std::string Submit(const Words& words);
  std::string Cancel(const Words& words);
  std::string Control(const Words& words, v1::JobAction action);
  std::string Scale(const Words& words);
  std::string SetQueue(const Words& words);
  std::string PauseQueue(const Words& words, bool paused);
  std::string Ack(const Words& words);
  std::string Admission(const Words& words, v1::NodeAdmission admission);
  std::string Quarantine(const Words& words, v1::Quarantine quarantine);
  std::string TestNode(const Words& words);
  // The nodes of the job's newest attempt report their ranks, one after another.
  std::string OnAllNodes(const Words& words, const std::string& fate, bool stopped);
  std::string Say(const std::string& node, v1::WorkerMessage message);
  std::string Show(const Words& words) const;

  coordinator::core::Options options_;
  std::unique_ptr<coordinator::core::Cluster> cluster_;
  std::vector<v1::Record> records_;
  absl::Time now_;
  absl::Time origin_;
  uint64_t last_session_ = 0;
  uint64_t last_token_ = 0;
  uint64_t last_update_ = 0;
  std::map<std::string, SessionId> sessions_;
  std::map<SessionId, std::string> names_;
  std::set<std::string> silent_;
};

}  // namespace muster::scenarios
