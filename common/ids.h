// Strong ids: two values of unlike meaning never mix.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

namespace muster {

template <typename Tag, typename Value>
class Id {
 public:
  Id() = default;
  explicit Id(Value value) : value_(std::move(value)) {}
  const Value& value() const { return value_; }
  auto operator<=>(const Id&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Id& id) { return out << id.value_; }

 private:
  Value value_{};
};

using JobId = Id<struct JobIdTag, uint64_t>;
using AttemptNumber = Id<struct AttemptNumberTag, uint64_t>;
using NodeId = Id<struct NodeIdTag, std::string>;           // the node's name
using SessionId = Id<struct SessionIdTag, uint64_t>;        // one stream of a worker
using RequestToken = Id<struct RequestTokenTag, uint64_t>;  // one caller waiting for a reply
using Epoch = Id<struct EpochTag, uint64_t>;

}  // namespace muster
