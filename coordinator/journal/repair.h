// Makes a damaged journal usable again by giving up what cannot be trusted.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace muster::coordinator::journal {

struct RepairReport {
  bool was_damaged = false;
  uint64_t kept = 0;             // records
  uint64_t dropped = 0;          // records
  uint64_t dropped_commits = 0;  // of the write-ahead log, each one record or more
  std::string copy_path;         // the damaged file, as it was found; its "-wal" lies beside it

  std::string Text() const;  // one line
};

// Drops the first damaged record of the journal at `path` and all behind it, after copying the
// files aside. Does nothing to a whole journal. The caller holds the state folder's lock and has
// the journal closed.
// Errors: kDataLoss when nothing at all can be read (restore a backup then).
absl::StatusOr<RepairReport> RepairByTruncation(const std::string& path);

}  // namespace muster::coordinator::journal
