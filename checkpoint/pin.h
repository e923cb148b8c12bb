// A pinned checkpoint is never deleted, whoever prunes.
//
// The pin is a file PINNED beside COMMIT: whoever wants to delete a checkpoint has its folder
// before it anyway, so the pin holds for the trainer, for a person and for a program of another
// version, with the coordinator or without. That the file is there is what counts; its text is a
// note for people.
//
// A pin and a prune at the same moment: Pin either fails, or the checkpoint stays (Prune looks once
// more after it has moved a folder aside, and moves it back).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"

namespace muster::checkpoint {

inline constexpr std::string_view kPinFile = "PINNED";

// Durable when it returns ok. A second pin replaces the note.
// Errors: kFailedPrecondition if the checkpoint is not committed; kNotFound if it was deleted
// meanwhile.
absl::Status Pin(const std::string& folder, const std::string& note,
                 FileSystem& files = PosixFiles());

// Errors: kNotFound if it is not pinned.
absl::Status Unpin(const std::string& folder, FileSystem& files = PosixFiles());

absl::StatusOr<bool> IsPinned(const std::string& folder, FileSystem& files = PosixFiles());

// The note of a pinned one, as one line. Errors: kNotFound.
absl::StatusOr<std::string> PinNote(const std::string& folder, FileSystem& files = PosixFiles());

}  // namespace muster::checkpoint
