// Tells a torn end of SQLite's write-ahead log from damage inside it.
//
// SQLite reads the log up to the first frame whose checksum fails and forgets the rest without a
// word. After a crash that is right: what follows was never acknowledged. But when two or more
// commits follow the bad frame, the first of them had been synced before the second began, so
// acknowledged records would be lost. Format: https://www.sqlite.org/fileformat2.html#walformat.
//
// Threads: none; the journal must be closed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace muster::coordinator::journal {

struct WalState {
  uint64_t whole_frames = 0;
  uint64_t whole_commits = 0;
  uint64_t commits_behind_damage = 0;  // more than one (or any, if the header is bad) = damage
  bool header_damaged = false;
  bool torn = false;  // an unfinished transaction at the end, as a crash leaves it

  bool damaged() const { return header_damaged || commits_behind_damage > 1; }
};

// The log beside `journal_path`; none or empty = all zero.
absl::StatusOr<WalState> ReadWalState(const std::string& journal_path);

}  // namespace muster::coordinator::journal
