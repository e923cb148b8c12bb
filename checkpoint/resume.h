// Which checkpoint a job goes on from.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "checkpoint/store.h"
#include "checkpoint/verify.h"

namespace muster::checkpoint {

// A checkpoint that the coordinator permitted (one row of resume.json).
struct Permitted {
  CheckpointId id;
  std::string manifest_sha256;
};

struct ResumePoint {
  std::string folder;
  Manifest manifest;
};

struct ResumeChoice {
  std::optional<ResumePoint> point;  // nullopt: start fresh
  std::vector<std::string> notes;    // one line per checkpoint stepped over, and why
};

// resume.json: `[{"step":120,"attempt":3,"manifest_sha256":"<hex>"}]`. Errors: kInvalidArgument.
absl::StatusOr<std::vector<Permitted>> ParsePermitted(const std::string& text);

// The first of `permitted` (newest first) that is committed with that manifest and verifies, so
// deep.
//
// Errors: kDataLoss if there were committed candidates and all are damaged: starting fresh would
// throw the run away, so a person decides. Permitted ones that were never committed are no error.
absl::StatusOr<ResumeChoice> ChooseResume(const std::string& root,
                                          std::span<const Permitted> permitted,
                                          FileSystem& files = PosixFiles(),
                                          VerifyDepth depth = VerifyDepth::kEverything);

// Without a coordinator: the newest committed one in the folder that verifies.
absl::StatusOr<ResumeChoice> ChooseNewest(const std::string& root, FileSystem& files = PosixFiles(),
                                          VerifyDepth depth = VerifyDepth::kEverything);

}  // namespace muster::checkpoint
