// Whole files in and out of a dataset's folder.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::dataset {

// Writes `parts` one after the other under a temporary name, syncs, renames to folder/name, syncs
// the folder. Errors: kResourceExhausted says how many bytes were needed; nothing is left behind.
absl::Status WriteFileDurably(const std::string& folder, const std::string& name,
                              std::span<const std::span<const std::byte>> parts);
absl::Status WriteFileDurably(const std::string& folder, const std::string& name,
                              const std::string& text);

absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace muster::dataset
