// What is due when: at most one time for each key.
//
// Whoever keeps a time here looks at nothing until it comes, so that idle things cost nothing.
//
// Time: callers pass it. Cost: O(log keys) for everything.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/time/time.h"

namespace muster::coordinator::core {

template <typename Key>
class Timetable {
 public:
  // In place of the key's earlier time. Infinitely far off: nothing is due any more.
  void Set(const Key& key, absl::Time at) {
    const auto found = when_.find(key);
    if (found != when_.end()) {
      if (found->second == at) return;
      due_.erase({found->second, key});
      if (at == absl::InfiniteFuture()) {
        when_.erase(found);
        return;
      }
      found->second = at;
    } else {
      if (at == absl::InfiniteFuture()) return;
      when_.emplace(key, at);
    }
    due_.emplace(at, key);
  }
  // Set, unless the key is due sooner already.
  void Hasten(const Key& key, absl::Time at) {
    const auto found = when_.find(key);
    if (found == when_.end() || at < found->second) Set(key, at);
  }
  void Clear(const Key& key) { Set(key, absl::InfiniteFuture()); }

  // Of the first that is due; infinite when there is none.
  absl::Time next() const { return due_.empty() ? absl::InfiniteFuture() : due_.begin()->first; }
  // Takes out the first key that is due by then, if any.
  std::optional<Key> Take(absl::Time now) {
    if (due_.empty() || due_.begin()->first > now) return std::nullopt;
    Key key = due_.begin()->second;
    when_.erase(key);
    due_.erase(due_.begin());
    return key;
  }

 private:
  std::map<Key, absl::Time> when_;
  std::set<std::pair<absl::Time, Key>> due_;
};

}  // namespace muster::coordinator::core
