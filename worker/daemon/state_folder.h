// What a worker keeps on disk, `--state DIR`:
//
//   lock         held by the living worker
//   address      host:port of its peer server while it lives
//   incarnation  lives so far         epoch       highest seen; whose
//   cluster_id   whom it belongs to
//   attempts/<job>.<attempt>/   one per attempt, see worker/shim/folder.h
//   logs/<job uid>/<attempt>/<rank>/{stdout,stderr}.log
//
// Every write is durable when it returns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/core/input.h"

namespace muster::worker::daemon {

class StateFolder {
 public:
  // Makes it where it is missing, takes the lock, counts this life.
  // Errors: kAlreadyExists: another worker holds it; kDataLoss: a file is not what we wrote.
  static absl::StatusOr<StateFolder> Open(const std::string& path);

  StateFolder(StateFolder&& other) noexcept;
  StateFolder& operator=(StateFolder&&) = delete;
  ~StateFolder();

  uint64_t incarnation() const { return incarnation_; }
  uint64_t epoch() const { return epoch_; }
  uint64_t epoch_nonce() const { return epoch_nonce_; }
  const std::string& cluster_id() const { return cluster_id_; }
  // nonce: of the coordinator that holds the epoch; 0 = not known.
  absl::Status RecordEpoch(uint64_t epoch, uint64_t nonce);
  absl::Status RecordClusterId(const std::string& cluster_id);
  // The port of the life before; 0 = none. Peers in the middle of a launch still call it.
  absl::StatusOr<uint64_t> LastPort() const { return ReadNumber("port"); }
  // Writes both: the address for people and scripts, the port for the next life.
  absl::Status WriteAddress(const std::string& host, int port);
  void RemoveAddress();

  std::string logs() const { return path_ + "/logs"; }
  std::string AttemptFolder(const core::AttemptKey& key) const;
  std::vector<core::AttemptKey> Attempts() const;  // ascending

 private:
  explicit StateFolder(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<uint64_t> ReadNumber(const std::string& name) const;
  absl::Status Write(const std::string& name, const std::string& line);

  std::string path_;
  int lock_ = -1;
  uint64_t incarnation_ = 0;
  uint64_t epoch_ = 0;
  uint64_t epoch_nonce_ = 0;
  std::string cluster_id_;
};

}  // namespace muster::worker::daemon
