// The job file: YAML for people, JSON for programs, one shape.
//
//   apiVersion: muster/v1
//   kind: TrainJob
//   name: gpt-stdlib
//   mesh: {data: 2, tensor: 2}       # axes in order, outermost first; or
//                                    # {data: 2, tensor: {size: 2, within: node}}
//   train: {model: {...}, ...}       # or program: {command: [...], env: {...}, ...}
//
// Keys are the field names of v1::JobSpec. Some shapes differ, for people: mesh and program.env are
// maps whose order counts, placement.select is a map of labels, schedule.after lists jobs by name
// or as {job: prep, when: ended}, durations are words such as "4h" or "1d12h". Enums are short
// lower-case words: "mpi", "layout", "node".
//
// Errors: kInvalidArgument. One line per problem, all of them, as `file:line: what; what to do`.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"

namespace muster::spec {

// Refused before it is read: larger than this, nested deeper than 16, or with aliases or merge
// keys (a job file needs none, and they are how a small file grows without end).
inline constexpr size_t kJobFileBytesMax = size_t{256} * 1024;

// Shape only: keys, types, defaults. The values may still be impossible together.
absl::StatusOr<v1::JobSpec> ParseJobFile(const std::string& text, const std::string& filename);

// ParseJobFile, then ValidateJobSpec with the lines of the file in its messages.
absl::StatusOr<v1::JobSpec> ParseAndValidateJobFile(const std::string& text,
                                                    const std::string& filename);

// The complete document, every field in proto order. Parsing it gives `spec` again, bit for bit.
std::string JobSpecToYaml(const v1::JobSpec& spec);
std::string JobSpecToJson(const v1::JobSpec& spec);

}  // namespace muster::spec
