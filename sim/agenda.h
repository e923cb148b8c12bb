// What happens when: simulated time, and the events that wait for it.
//
// Time jumps from event to event; nothing runs between. Events of one instant run in the order in
// which they were added, so a seed always gives the same run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace muster::sim {

using Micros = int64_t;  // since the start of the simulation, or a span

inline constexpr Micros kMilli = 1000;
inline constexpr Micros kSecond = 1'000'000;
inline constexpr Micros kMinute = 60 * kSecond;
inline constexpr Micros kHour = 60 * kMinute;

class Agenda {
 public:
  Micros now() const { return now_; }
  uint64_t events() const { return events_; }
  bool empty() const { return heap_.empty(); }
  Micros next_at() const { return heap_.front().at; }

  void At(Micros at, std::function<void()> act) {
    heap_.push_back({std::max(at, now_), ++added_, std::move(act)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  void After(Micros delay, std::function<void()> act) { At(now_ + delay, std::move(act)); }

  void RunNext() {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.at;
    ++events_;
    entry.act();
  }
  void JumpTo(Micros at) { now_ = std::max(now_, at); }

 private:
  struct Entry {
    Micros at;
    uint64_t order;
    std::function<void()> act;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  std::vector<Entry> heap_;
  Micros now_ = 0;
  uint64_t added_ = 0;
  uint64_t events_ = 0;
};

}  // namespace muster::sim
