// Sends what this node's ranks save in memory to the node that keeps a copy, or chunks of it to the
// nodes that keep parity.
//
// A rank that sealed a slot to be copied nudges the slot's file; the replicator hears of it, sends
// the slot and marks it replicated, or given up with a line that says why. A node that does not
// answer is tried again for a while: until then the rank saves nothing else in memory.
//
// With parity a slot is marked when its own chunks are in their rows, whole or not: that all ranks'
// slots of a step are marked, which is what a rank waits for, says that all rows of it are whole.
//
// Threads: one of its own. All functions from one thread; the destructor breaks off what is under
//          way.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/vault/own_ranks.h"
#include "worker/vault/parity_send.h"
#include "worker/vault/peer_vault.h"
#include "worker/vault/slot_watch.h"

namespace muster::worker::vault {

class Replicator {
 public:
  struct Partner {
    std::string node;
    std::string address;
    OwnRanks own;  // whose slots go there, and for which attempt
    // Parity instead: the members of the group, this node among them.
    std::vector<ParityMember> group = {};
  };

  // `give_up_after`: of a partner that cannot be reached.
  Replicator(Dial dial, std::chrono::milliseconds give_up_after)
      : dial_(std::move(dial)), give_up_after_(give_up_after) {}
  ~Replicator();

  absl::Status Start();
  // From now on the job's slots go to this partner. What is on its way to another one is broken
  // off.
  void Watch(const std::string& folder, const Partner& partner);
  void Forget(const std::string& folder);

 private:
  struct Job {
    Partner partner;
    uint64_t generation = 0;
  };

  void LookAt(const std::string& path);
  // What a node said, and which.
  struct Answer {
    std::string node;
    std::string address;
    absl::Status status;
  };
  // Ok: the copy is there, or all chunks are.
  Answer Send(const checkpoint::SlotFile& file, const SlotHead& head, const Job& job,
              const std::string& folder);
  absl::Status SendCopy(const checkpoint::SlotFile& file, const SlotHead& head, const Job& job,
                        const std::function<bool()>& goes_on);
  // To all of them, whatever one says. Of several that are in the way the one that may work later.
  Answer SendChunks(const checkpoint::SlotFile& file, const SlotHead& head, const Job& job,
                    const std::function<bool()>& goes_on);
  PeerVault& PeerAt(const std::string& address);
  bool IsNewest(const std::string& folder, uint64_t generation) const;
  void GiveUp(checkpoint::RamSlot& slot, const SlotHead& head, const std::string& node,
              const absl::Status& why);

  const Dial dial_;
  const std::chrono::milliseconds give_up_after_;
  mutable std::mutex mutex_;
  std::map<std::string, Job> jobs_;  // by folder
  uint64_t generations_ = 0;
  // Of the thread.
  std::map<std::string, std::unique_ptr<PeerVault>> peers_;               // by address
  std::map<std::string, std::chrono::steady_clock::time_point> failing_;  // addresses, since when
  std::string said_;  // the last trouble, so that it is said once
  SlotWatch watch_;   // the last: it ends before what it uses
};

}  // namespace muster::worker::vault
