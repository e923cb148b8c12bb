// JSON as we take it from disk: bounded depth, every field there and of its type.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster::checkpoint {

inline constexpr int kJsonDepthMax = 32;

// Errors: kDataLoss: not JSON, or deeper than kJsonDepthMax. `what` is put in front.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, std::string_view what);
// The same for texts that are not compared with a canonical one: a field named twice is kDataLoss.
absl::StatusOr<nlohmann::json> ParseJsonFieldsOnce(std::string_view text, std::string_view what);

// A field of an object. Errors: kDataLoss: no object, missing, or of another type.
absl::StatusOr<uint64_t> U64Field(const nlohmann::json& object, const char* key);
absl::StatusOr<std::string> TextField(const nlohmann::json& object, const char* key);
absl::StatusOr<std::vector<uint64_t>> U64sField(const nlohmann::json& object, const char* key);
// Points into `object`.
absl::StatusOr<const nlohmann::json*> ArrayField(const nlohmann::json& object, const char* key);
absl::StatusOr<const nlohmann::json*> ObjectField(const nlohmann::json& object, const char* key);

// Compact, keys sorted, bytes that are not UTF-8 replaced.
std::string JsonText(const nlohmann::json& value);

}  // namespace muster::checkpoint
