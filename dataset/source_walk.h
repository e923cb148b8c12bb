// Finds the documents of a source, in an order that depends on their names only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::dataset {

struct Document {
  std::string name;  // relative to the source; "#3" is appended for a part of one file
  std::string path;
  uint64_t offset = 0;  // byte range in the file
  uint64_t bytes = 0;
};

struct Source {
  std::vector<Document> documents;  // by name
  uint64_t bytes = 0;
  std::string fingerprint;  // SHA-256 of names, sizes and modification times
};

// Does not follow links. Errors: kNotFound: no source, or nothing matches.
absl::StatusOr<Source> WalkSource(const std::string& source, const std::vector<std::string>& globs);

enum class TextKind { kText, kEmpty, kBinary, kNotUtf8 };

// Binary: a zero byte. Not UTF-8: overlong forms and surrogates count as such.
TextKind ClassifyText(std::string_view bytes);

// Bytes of the UTF-8 character at the start; 0 if there is none.
size_t Utf8Length(std::string_view text);

// Errors: as the system says; kFailedPrecondition if the file is shorter than when it was found.
absl::StatusOr<std::string> ReadDocument(const Document& document);

}  // namespace muster::dataset
