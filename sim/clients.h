// The people and scripts that use the cluster: they submit, cancel, drain, and ask again when no
// answer comes, always with the same request_id.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/core/input.h"
#include "coordinator/core/outcome.h"
#include "sim/agenda.h"

namespace muster::sim {

class CoordinatorProcess;
class World;
struct Disk;

class Clients {
 public:
  explicit Clients(World* world) : world_(world) {}

  // Sets up the queues, then keeps asking for things at the rates of the case.
  void Start();
  // Lets everything go on: nodes open, queues as in the case, jobs released and resumed.
  void OpenEverything();
  // Every request is answered.
  bool Idle() const { return open_ == 0; }

  // A reply leaves the coordinator.
  void OnReply(CoordinatorProcess& from, const coordinator::core::Reply& reply);
  // After a restart: what was acknowledged must still be there.
  void CheckAcknowledged(CoordinatorProcess& coordinator);

 private:
  struct Request {
    std::string id;
    std::string kind;
    coordinator::core::Input input;  // its token is set anew for every try
    uint64_t tries = 0;
    bool answered = false;
    bool repeated = false;
    const Disk* acknowledged_by = nullptr;
    uint64_t job = 0;  // of the answer
  };
  void Every(Micros mean, void (Clients::*act)());
  void Submit();
  void Cancel();
  void Admit();
  void Quarantine();
  void Control();
  void Scale();
  void ChangeQueue();
  void SetUpQueues();
  uint64_t AnyJob();
  void Ask(const std::string& kind, coordinator::core::Input input);
  void Try(size_t index);
  void Answer(size_t index, CoordinatorProcess& from, const coordinator::core::Reply& reply);

  World* const world_;
  std::vector<Request> requests_;
  std::map<uint64_t, size_t> tokens_;
  uint64_t last_token_ = 0;
  uint64_t submitted_ = 0;
  uint64_t newest_job_ = 0;
  uint64_t open_ = 0;  // not yet answered
};

}  // namespace muster::sim
