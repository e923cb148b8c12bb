// Hosts a PMIx server for one attempt's ranks on this node, so that Open MPI ranks start without
// mpirun (Slurm does the same).
//
// One per process, for the rest of its life: it is never finalised, since that waits for clients,
// which may hang; whoever removes the attempt's folder removes its files.
//
// Threads: the library runs one of its own and calls the Exchange on it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/launch/environment.h"
#include "worker/launch/exchange.h"
#include "worker/launch/launch.h"

namespace muster::worker::launch {

class PmixHost {
 public:
  // Node names are Muster's, so nodes that share a machine stay apart. `folder` holds the server's
  // files. `exchange` must outlive the process's last rank.
  static absl::StatusOr<std::unique_ptr<PmixHost>> Start(const Launch& launch,
                                                         const std::string& folder,
                                                         Exchange* exchange);

  // What a local rank needs to find this server.
  absl::StatusOr<Environment> RankVariables(uint32_t rank) const;

 private:
  explicit PmixHost(std::string name_space) : name_space_(std::move(name_space)) {}
  std::string name_space_;
};

}  // namespace muster::worker::launch
