// Ranks as threads, as a program would give them to muster_checkpoint_open.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "rank/muster_checkpoint.h"
#include "trainer/collective/in_process/in_process.h"

namespace muster::rank {

// One rank's end. `fail_after` calls (if not negative) every further one fails.
struct ThreadGroup {
  std::unique_ptr<trainer::collective::Collective> group;
  int fail_after = -1;

  bool Fails() { return fail_after >= 0 && fail_after-- == 0; }

  static int AllGather(void* context, const void* mine, size_t bytes, void* all) {
    auto& self = *static_cast<ThreadGroup*>(context);
    if (self.Fails()) return 7;
    const auto got = self.group->AllGatherBytes({static_cast<const std::byte*>(mine), bytes});
    if (!got.ok()) return 1;
    auto* place = static_cast<std::byte*>(all);
    for (const std::vector<std::byte>& one : *got) {
      if (one.size() != bytes) return 2;
      place = std::copy(one.begin(), one.end(), place);
    }
    return 0;
  }

  static int AllToAll(void* context, const void* send, const size_t* send_bytes, void* receive,
                      const size_t* receive_bytes) {
    auto& self = *static_cast<ThreadGroup*>(context);
    if (self.Fails()) return 7;
    const auto size = static_cast<size_t>(self.group->size());
    const auto* from = static_cast<const std::byte*>(send);
    std::vector<std::vector<std::byte>> to;
    for (size_t r = 0; r < size; ++r) {
      to.emplace_back(from, from + send_bytes[r]);
      from += send_bytes[r];
    }
    const auto got = self.group->AllToAllBytes(to);
    if (!got.ok()) return 1;
    auto* place = static_cast<std::byte*>(receive);
    for (size_t r = 0; r < size; ++r) {
      if ((*got)[r].size() != receive_bytes[r]) return 2;
      place = std::copy((*got)[r].begin(), (*got)[r].end(), place);
    }
    return 0;
  }

  muster_checkpoint_group Given() {
    muster_checkpoint_group given = {};
    given.context = this;
    given.rank = static_cast<uint32_t>(group->rank());
    given.size = static_cast<uint32_t>(group->size());
    given.all_gather = AllGather;
    given.all_to_all = AllToAll;
    return given;
  }
};

// Runs `rank` on as many threads, each with its end. One that returns leaves the group.
inline void OnThreads(int ranks, const std::function<void(ThreadGroup&)>& rank) {
  auto world = trainer::collective::MakeInProcessWorld(ranks);
  std::vector<std::thread> threads;
  for (auto& end : world) {
    threads.emplace_back([&rank, end = std::move(end)]() mutable {
      ThreadGroup group{std::move(end)};
      rank(group);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace muster::rank
