// Which bytes of which files fill the boxes of any layout.
//
// Pure: plain values in and out, nothing is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/box.h"
#include "checkpoint/manifest.h"

namespace muster::checkpoint {

struct Request {
  Box box;
  std::span<std::byte> bytes;  // ByteCount(box), filled
};

// Bytes of one chunk of one file and where they go.
struct Transfer {
  uint64_t from = 0;  // in the file
  uint64_t bytes = 0;
  std::byte* to = nullptr;
};

// By index in the manifest's files; each rising in `from`. Every byte of every request is in it
// exactly once.
using LoadPlan = std::map<size_t, std::vector<Transfer>>;

// Errors: kNotFound: no such tensor. kInvalidArgument: dtype or shape differs from the manifest's,
// or a span of the wrong size. kDataLoss: the manifest does not cover a box, or names a file that
// it does not list.
absl::StatusOr<LoadPlan> PlanLoad(const Manifest& manifest, std::span<const Request> requests);

}  // namespace muster::checkpoint
