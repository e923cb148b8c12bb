#include "rank/collective_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace {

class Ring : public ::testing::Test {
 protected:
  Ring() { muster_pages_init(pages_.get()); }

  muster_status_page* page() { return &pages_->status; }
  uint64_t Add(muster_entry_state state, uint64_t number) {
    return muster_ring_add(page(), state, MUSTER_COLLECTIVE_ALL_REDUCE, MUSTER_GROUP_DATA,
                           number + 1, 8 * number, static_cast<int64_t>(1000 + number));
  }
  // The state of an entry, or nothing when it is not in the ring.
  std::optional<uint32_t> StateOf(uint64_t number) {
    muster_collective_entry entry;
    if (muster_ring_read(page(), number, &entry) == 0) return std::nullopt;
    return entry.state;
  }

  std::unique_ptr<muster_pages> pages_ = std::make_unique<muster_pages>();
};

TEST_F(Ring, ABlockingCollectiveIsInsideAndThenDone) {
  EXPECT_EQ(StateOf(0), std::nullopt) << "nothing was begun";
  ASSERT_EQ(muster_ring_add(page(), MUSTER_ENTRY_INSIDE, MUSTER_COLLECTIVE_BROADCAST,
                            MUSTER_GROUP_TENSOR, 7, 4096, 99),
            0u);
  muster_collective_entry entry;
  ASSERT_EQ(muster_ring_read(page(), 0, &entry), 1);
  EXPECT_EQ(entry.operation, MUSTER_COLLECTIVE_BROADCAST);
  EXPECT_EQ(entry.group, MUSTER_GROUP_TENSOR);
  EXPECT_EQ(entry.sequence, 7u);
  EXPECT_EQ(entry.bytes, 4096u);
  EXPECT_EQ(entry.begin_monotonic_ns, 99);
  EXPECT_EQ(entry.state, MUSTER_ENTRY_INSIDE);
  muster_ring_done(page(), 0);
  EXPECT_EQ(StateOf(0), MUSTER_ENTRY_DONE);
}

TEST_F(Ring, AStartedCollectiveIsInsideOnlyOnceItIsWaitedFor) {
  const uint64_t number = Add(MUSTER_ENTRY_STARTED, 0);
  EXPECT_EQ(StateOf(number), MUSTER_ENTRY_STARTED);
  muster_ring_wait(page(), number, 5000);
  muster_collective_entry entry;
  ASSERT_EQ(muster_ring_read(page(), number, &entry), 1);
  EXPECT_EQ(entry.state, MUSTER_ENTRY_INSIDE);
  EXPECT_EQ(entry.begin_monotonic_ns, 5000) << "since when it is inside";
  muster_ring_done(page(), number);
  EXPECT_EQ(StateOf(number), MUSTER_ENTRY_DONE);
}

// Every word in every state, against the table of what follows.
TEST_F(Ring, StatesOnlyGoForward) {
  struct Case {
    const char* name;
    muster_entry_state from;
    uint32_t after_wait;
    uint32_t after_done;
  };
  const Case cases[] = {
      {"inside", MUSTER_ENTRY_INSIDE, MUSTER_ENTRY_INSIDE, MUSTER_ENTRY_DONE},
      {"started", MUSTER_ENTRY_STARTED, MUSTER_ENTRY_INSIDE, MUSTER_ENTRY_DONE},
      {"done", MUSTER_ENTRY_DONE, MUSTER_ENTRY_DONE, MUSTER_ENTRY_DONE},
  };
  uint64_t number = 0;
  for (const Case& c : cases) {
    const uint64_t waited = Add(c.from, number++);
    muster_ring_wait(page(), waited, 1);
    EXPECT_EQ(StateOf(waited), c.after_wait) << c.name;
    const uint64_t done = Add(c.from, number++);
    muster_ring_done(page(), done);
    EXPECT_EQ(StateOf(done), c.after_done) << c.name;
  }
}

TEST_F(Ring, SeveralAreUnderWayAndEndInAnyOrder) {
  for (uint64_t number = 0; number < 4; ++number) Add(MUSTER_ENTRY_STARTED, number);
  muster_ring_wait(page(), 2, 1);
  muster_ring_done(page(), 2);
  muster_ring_wait(page(), 0, 1);
  EXPECT_EQ(StateOf(0), MUSTER_ENTRY_INSIDE);
  EXPECT_EQ(StateOf(1), MUSTER_ENTRY_STARTED);
  EXPECT_EQ(StateOf(2), MUSTER_ENTRY_DONE);
  EXPECT_EQ(StateOf(3), MUSTER_ENTRY_STARTED);
}

TEST_F(Ring, KeepsTheNewest32) {
  constexpr uint64_t kCount = 3 * MUSTER_COLLECTIVES_MAX + 5;
  for (uint64_t number = 0; number < kCount; ++number) {
    ASSERT_EQ(Add(MUSTER_ENTRY_INSIDE, number), number);
    muster_ring_done(page(), number);
  }
  EXPECT_EQ(pages_->status.collectives, kCount);
  for (uint64_t number = 0; number < kCount; ++number) {
    muster_collective_entry entry;
    const bool kept = number + MUSTER_COLLECTIVES_MAX >= kCount;
    ASSERT_EQ(muster_ring_read(page(), number, &entry), kept ? 1 : 0) << number;
    if (!kept) continue;
    EXPECT_EQ(entry.sequence, number + 1);
  }
}

TEST_F(Ring, AWordAboutAnOldCollectiveLeavesTheNewerOneAlone) {
  const uint64_t old = Add(MUSTER_ENTRY_STARTED, 0);
  for (uint64_t number = 1; number <= MUSTER_COLLECTIVES_MAX; ++number) {
    Add(MUSTER_ENTRY_STARTED, number);
  }
  muster_ring_wait(page(), old, 1);
  muster_ring_done(page(), old);
  muster_collective_entry entry;
  ASSERT_EQ(muster_ring_read(page(), old + MUSTER_COLLECTIVES_MAX, &entry), 1);
  EXPECT_EQ(entry.state, MUSTER_ENTRY_STARTED);
  EXPECT_EQ(entry.begin_monotonic_ns, 1000 + MUSTER_COLLECTIVES_MAX);
}

TEST_F(Ring, AnEntryBeingWrittenIsNotRead) {
  Add(MUSTER_ENTRY_INSIDE, 0);
  pages_->status.ring[0].state = muster_ring_state(0, MUSTER_ENTRY_WRITING);
  EXPECT_EQ(StateOf(0), std::nullopt);
  muster_ring_done(page(), 0);
  EXPECT_EQ(StateOf(0), std::nullopt) << "its writer has not come to the end";
}

TEST_F(Ring, TheCountMayGoBeyondWhatALapCanSay) {
  constexpr uint64_t kFirst = (uint64_t{1} << 29) - 1 - MUSTER_COLLECTIVES_MAX;
  pages_->status.collectives = kFirst;
  for (uint32_t i = 0; i < MUSTER_COLLECTIVES_MAX; ++i) {  // as the laps before have left them
    pages_->status.ring[(kFirst - 1 - i) % MUSTER_COLLECTIVES_MAX].state =
        muster_ring_state(kFirst - 1 - i, MUSTER_ENTRY_DONE);
  }
  for (uint32_t i = 0; i < MUSTER_COLLECTIVES_MAX; ++i) Add(MUSTER_ENTRY_INSIDE, i);
  const uint64_t last = Add(MUSTER_ENTRY_INSIDE, 7);  // of lap 2^24 - 1
  const uint64_t first = Add(MUSTER_ENTRY_INSIDE, 8);
  EXPECT_EQ(first, uint64_t{1} << 29);
  EXPECT_EQ(StateOf(last), MUSTER_ENTRY_INSIDE);
  EXPECT_EQ(StateOf(first), MUSTER_ENTRY_INSIDE);
}

TEST_F(Ring, AReaderNeverSeesTheHalvesOfTwo) {
  std::atomic<bool> end = false;
  std::thread writer([&] {
    for (uint64_t number = 0; !end; ++number) {
      Add(MUSTER_ENTRY_INSIDE, number);
      muster_ring_done(page(), number);
    }
  });
  for (int reads = 0; reads < 200000;) {
    const uint64_t count = __atomic_load_n(&pages_->status.collectives, __ATOMIC_ACQUIRE);
    // The oldest, which the writer is about to reuse, and the newest, which it is writing.
    for (const uint64_t back : {uint64_t{MUSTER_COLLECTIVES_MAX}, uint64_t{1}}) {
      muster_collective_entry entry;
      if (count < back || muster_ring_read(page(), count - back, &entry) == 0) continue;
      ++reads;
      ASSERT_EQ(entry.sequence, count - back + 1);
      ASSERT_EQ(entry.bytes, 8 * (count - back));
      ASSERT_EQ(entry.begin_monotonic_ns, static_cast<int64_t>(1000 + count - back));
      ASSERT_NE(entry.state, MUSTER_ENTRY_STARTED);
    }
  }
  end = true;
  writer.join();
}

TEST_F(Ring, ThreadsLoseNoNumberAndLeaveEveryEntryWhole) {
  constexpr size_t kThreads = 4;
  constexpr uint64_t kEach = 50000;
  std::vector<std::vector<uint64_t>> numbers(kThreads);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 0; i < kEach; ++i) {
        const uint64_t number = Add(i % 2 == 0 ? MUSTER_ENTRY_INSIDE : MUSTER_ENTRY_STARTED, i);
        if (i % 2 == 1) muster_ring_wait(page(), number, 1);
        muster_ring_done(page(), number);
        numbers[thread].push_back(number);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<bool> seen(kThreads * kEach, false);
  for (const auto& of_thread : numbers) {
    for (const uint64_t number : of_thread) {
      ASSERT_LT(number, seen.size());
      ASSERT_FALSE(seen[number]) << number << " was given twice";
      seen[number] = true;
    }
  }
  for (uint64_t back = 1; back <= MUSTER_COLLECTIVES_MAX; ++back) {
    EXPECT_EQ(StateOf(seen.size() - back), MUSTER_ENTRY_DONE) << back << " from the end";
  }
}

}  // namespace
