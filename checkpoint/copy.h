// Copies a committed checkpoint into another folder of checkpoints, checked on both sides.
//
// What is written stands under ROOT/.tmp-copy-<name>, which no reader looks at, until all of it has
// been read back and verified; COMMIT is made last, then one rename gives it its name. So ROOT
// never holds a part of a checkpoint under a checkpoint's name, and nothing there is ever written
// over.
//
// A copy that was killed goes on where it was: whole files that have the right checksums are kept,
// and of the file it was in, the chunks that do.
//
// Threads: none. Two copies of one checkpoint into one folder at the same time: at most one is
// published, the other ends with an error.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"

namespace muster::checkpoint {

struct CopyReport {
  std::string path;            // of the copy
  bool was_there = false;      // the same checkpoint, verified: nothing was written
  uint64_t bytes = 0;          // of all shards
  uint64_t bytes_resumed = 0;  // of an earlier try, found good
  uint64_t files = 0;
};

// (bytes done, bytes in all); goes from 0 to all twice: once copying, once reading back.
using CopyProgress = std::function<void(const char* what, uint64_t done, uint64_t total)>;

// `from` is a committed checkpoint's folder named step-...; `root` is made when missing. A pin is
// not copied. Errors: kDataLoss: `from` is damaged (the copy stays unpublished); kAlreadyExists:
// another checkpoint of that name is there; kResourceExhausted says how many bytes were needed.
absl::StatusOr<CopyReport> CopyCheckpoint(const std::string& from, const std::string& root,
                                          const CopyProgress& progress = nullptr,
                                          FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
