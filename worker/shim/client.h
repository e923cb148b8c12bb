// How a worker starts a shim and reaches it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "muster/v1/shim.pb.h"

namespace muster::worker::shim {

// Makes the folder, writes its order and spawns `program --dir folder` in a session of its own.
// Returns the pid; the caller reaps it (or dies: the shim lives on). The socket is there some
// milliseconds later: call ConnectShim until it stops saying kUnavailable.
absl::StatusOr<int> StartShim(const std::string& program, const std::string& folder,
                              const v1::ShimOrder& order);

// A non-blocking stream socket to the folder's shim, for messages in frames (frame.h).
// Errors: kNotFound: no socket file; kUnavailable: nobody listens.
absl::StatusOr<int> ConnectShim(const std::string& folder);

// Is the shim of this folder alive? By recorded pid and start time.
bool ShimAlive(const std::string& folder);

// The last report a shim wrote, for a worker that finds it dead. kNotFound if there is none.
absl::StatusOr<v1::AttemptReport> LastReport(const std::string& folder);

}  // namespace muster::worker::shim
