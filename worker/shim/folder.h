// The files of an attempt's folder on a node, `<worker state>/attempts/<job>.<attempt>/`.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::worker::shim {

inline constexpr char kOrderFile[] = "order.pb";     // ShimOrder; the worker writes it first
inline constexpr char kSocketFile[] = "shim.sock";   // there while the shim takes a worker
inline constexpr char kReportFile[] = "report.pb";   // AttemptReport, at every change of a state
inline constexpr char kProcessFile[] = "processes";  // "<pid> <start time> <what>" a line
inline constexpr char kLogFile[] = "shim.log";       // the shim's own log
inline constexpr char kJobFile[] = "job.json";       // for ranks with checkpoints
inline constexpr char kResumeFile[] = "resume.json";
inline constexpr char kTempFolder[] = "tmp";   // TMPDIR of the ranks
inline constexpr char kPmixFolder[] = "pmix";  // of the PMIx server

// Tells this folder from every other on the machine: 16 hex digits from its resolved path. Ranks
// carry it in MUSTER_SCOPE, so that whatever they leave can be found.
absl::StatusOr<std::string> ScopeOf(const std::string& folder);

// Shared memory of the attempt's ranks on this node, outside the folder so that it is memory.
std::string SharedMemoryFolder(const std::string& scope);

// Replaces a file as a whole: a reader sees the old bytes or the new ones.
absl::Status ReplaceFile(const std::string& path, const std::string& bytes);
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Adds "<pid> <start time> <what>" to the folder's process file.
absl::Status RecordProcess(const std::string& folder, int pid, const std::string& what);

}  // namespace muster::worker::shim
