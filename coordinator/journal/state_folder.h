// The coordinator's state folder: made when absent, and owned by one process at a time.
//
//   journal.db      the records (sqlite_journal.h)
//   lock            flock'ed while a coordinator runs; holds "PID ADDRESS" of its owner as text
//   address         host:port of the running coordinator; removed on a clean end
//
// Threads: any one.
// Errors:  kFailedPrecondition when another process owns the folder, naming it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::coordinator::journal {

class StateFolder {
 public:
  static absl::StatusOr<std::unique_ptr<StateFolder>> Open(const std::string& path);
  ~StateFolder();
  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string journal_path() const { return path_ + "/journal.db"; }

  // Publishes the bound address, in `address` (whole or not at all) and in `lock`.
  absl::Status PublishAddress(const std::string& address);

 private:
  StateFolder(std::string path, int lock_fd);

  const std::string path_;
  const int lock_fd_;
  bool published_ = false;
};

}  // namespace muster::coordinator::journal
