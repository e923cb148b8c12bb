// What `muster-worker` is told on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "muster/v1/node.pb.h"

namespace muster::worker::daemon {

struct Options {
  std::string node;
  std::string state;
  std::string coordinator;       // host:port, or
  std::string coordinator_file;  // a file with that in its first line
  std::string listen = "127.0.0.1:0";
  std::string advertise;  // empty: the host of `listen`
  uint32_t slots = 0;     // 0: found
  v1::Location location;
  std::vector<v1::Label> labels;
  std::vector<std::string> taints;
  std::string cluster_id;  // empty: the first coordinator's
  uint32_t orphan_grace_ms = 30'000;
  uint64_t log_bytes_max = 64u << 20;
  std::string vault;                    // folder; empty: one of this worker's own in /dev/shm
  int64_t vault_bytes = -1;             // for all ranks; 0 = no vault, -1 = DefaultVaultBytes
  uint64_t drain_bytes_per_second = 0;  // 0 = no bound
  std::string shim;                     // paths of the programs
  std::string trainer;
  std::string preflight;
};

}  // namespace muster::worker::daemon
