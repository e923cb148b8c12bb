// Durable records, in order.
//
// Append takes a batch that becomes durable together or not at all; `done` is called once it is,
// from the journal's own thread, in the order of the Append calls. Batches that wait while the
// disk is busy share its next sync (group commit).
//
// Threads: Append and Flush from one thread at a time; Replay before the first Append.
// Errors:  kDataLoss names the damaged record and what to do; after a failed append every later
//          one fails too (the caller must stop: it knows no longer what is durable).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/v1/journal.pb.h"

namespace muster::coordinator::journal {

class Journal {
 public:
  virtual ~Journal() = default;

  // Calls `apply` for every record, oldest first; returns how many there were.
  virtual absl::StatusOr<uint64_t> Replay(
      const std::function<void(const v1::Record& record)>& apply) = 0;

  virtual void Append(std::vector<v1::Record> records, std::function<void(absl::Status)> done) = 0;

  // Waits until everything appended so far is durable.
  virtual absl::Status Flush() = 0;

  // Writes a consistent copy to `path`, which must not exist; returns records in it.
  virtual absl::StatusOr<uint64_t> Backup(const std::string& path) = 0;
};

}  // namespace muster::coordinator::journal
