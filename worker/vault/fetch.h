// Brings to this node what its ranks saved on other nodes, before the ranks look for it.
//
// Of each rank the two newest steps are wanted, from whichever node has them: the one before, the
// one that kept its copies, or this one. A slot of this node that is damaged is wanted from
// another. What no node has is computed from parity, where there is some (rebuild.h). What cannot
// be had is left: the ranks go on from the newest step that all of them hold.
//
// Threads: Begin, and the destructor, which waits for what is under way, from one thread; the work
//          is done on threads of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/slot_gate.h"
#include "worker/vault/intake.h"
#include "worker/vault/peer_vault.h"

namespace muster::worker::vault {

struct SlotSource {
  std::string node;
  std::string address;
  uint32_t first_rank = 0;
  uint32_t ranks = 0;
};

struct FetchOrder {
  std::string folder;  // of the job in this node's vault
  std::string job_uid;
  uint32_t world_size = 0;
  uint64_t since = 0;  // older attempts' slots are not gone on from
  OwnRanks own;
  std::vector<SlotSource> sources;  // the likeliest first
  std::vector<SlotSource> parity;   // whose rows and slots may give back what none of them has
};

// Of the attempts that may be gone on from.
bool IsUsable(const SlotHead& head, const FetchOrder& order);

// A slot to fetch: into which file of this node, and where it is to be had.
struct Wanted {
  SlotHead head;
  char letter = 'a';
  struct At {
    size_t source = 0;
    SlotHead head;  // as it is there
  };
  std::vector<At> at;
};

// One rank: `mine` are its whole slots of this node, `theirs` what the sources list.
std::vector<Wanted> ChooseFetches(const std::vector<SlotHead>& mine,
                                  const std::vector<Wanted::At>& theirs);

struct Fetched {
  uint32_t slots = 0;
  uint64_t bytes = 0;
  uint32_t computed = 0;  // of parity; counted apart
  uint64_t computed_bytes = 0;
  double computing_seconds = 0;
  std::vector<std::string> troubles;
};

// Does it, and returns when it is done. `goes_on` is asked between parts.
Fetched FetchSlots(const FetchOrder& order, const Dial& dial, const std::function<bool()>& goes_on);

class Fetcher {
 public:
  explicit Fetcher(Dial dial) : dial_(std::move(dial)) {}
  ~Fetcher();

  // The folder's gate is closed when this returns, and opens when all is done.
  void Begin(FetchOrder order);

 private:
  struct Run {
    std::thread thread;
    std::atomic<bool> done = false;
  };

  const Dial dial_;
  std::atomic<bool> ending_ = false;
  std::list<Run> runs_;
};

}  // namespace muster::worker::vault
