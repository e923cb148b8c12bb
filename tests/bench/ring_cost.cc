#include "tests/bench/ring_cost.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/check.h"
#include "rank/pages.h"
#include "trainer/collective/in_process/in_process.h"
#include "trainer/collective/noted.h"

namespace muster::trainer::collective {
namespace {

constexpr int kNotes = 100000;
constexpr int kAllReduces = 3000;

double Nanoseconds() {
  return std::chrono::duration<double, std::nano>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The ring of a real rank link, whose other end nobody reads.
class LinkRing : public CollectiveRing {
 public:
  LinkRing() {
    const int pages = memfd_create("pages", MFD_CLOEXEC);
    CHECK(pages >= 0 && ftruncate(pages, MUSTER_PAGES_SIZE) == 0, "no memory for pages");
    muster_pages initial;
    muster_pages_init(&initial);
    CHECK(pwrite(pages, &initial, sizeof(initial), 0) == sizeof(initial), "no memory for pages");
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no socket");
    shim_ = ends[0];
    setenv("MUSTER_LINK_FD", std::to_string(ends[1]).c_str(), 1);
    setenv("MUSTER_PAGES_FD", std::to_string(pages).c_str(), 1);
    const int error = muster_rank_open(&link_);
    CHECK(error == 0, "{}", muster_rank_error(nullptr));
    close(pages);
  }
  ~LinkRing() override {
    muster_rank_close(link_);
    close(shim_);
  }
  uint64_t Begin(muster_collective operation, muster_group group, uint64_t bytes) override {
    return muster_rank_collective_begin(link_, operation, group, bytes);
  }
  uint64_t Start(muster_collective operation, muster_group group, uint64_t bytes) override {
    return muster_rank_collective_start(link_, operation, group, bytes);
  }
  void Wait(uint64_t number) override { muster_rank_collective_wait(link_, number); }
  void Done(uint64_t number) override { muster_rank_collective_done(link_, number); }

 private:
  muster_rank* link_ = nullptr;
  int shim_ = -1;
};

double NoteNs(CollectiveRing& ring) {
  const double start = Nanoseconds();
  for (int i = 0; i < kNotes; ++i) {
    ring.Done(ring.Begin(MUSTER_COLLECTIVE_ALL_REDUCE, MUSTER_GROUP_DATA, 16));
  }
  return (Nanoseconds() - start) / kNotes;
}

// `rings` are null for the plain one.
double AllReduceNs(const std::array<CollectiveRing*, 2>& rings) {
  auto world = MakeInProcessWorld(2);
  for (size_t r = 0; r < 2; ++r) {
    world[r] = Noted(std::move(world[r]), rings[r], MUSTER_GROUP_DATA);
  }
  const auto reduce = [](Collective& group) {
    std::array<float, 4> data = {1, 2, 3, 4};
    for (int i = 0; i < kAllReduces; ++i) {
      CHECK(group.AllReduce(data).ok(), "the other thread left");
    }
  };
  const double start = Nanoseconds();
  std::thread other([&] { reduce(*world[1]); });
  reduce(*world[0]);
  other.join();
  return (Nanoseconds() - start) / kAllReduces;
}

}  // namespace

RingCost MeasureRing(double seconds) {
  std::array<LinkRing, 2> rings;
  RingCost best = {1e12, 1e12, 1e12};
  const double end = Nanoseconds() + seconds * 1e9;
  for (int turn = 0; turn < 3 || Nanoseconds() < end; ++turn) {
    best.note_ns = std::min(best.note_ns, NoteNs(rings[0]));
    best.plain_ns = std::min(best.plain_ns, AllReduceNs({nullptr, nullptr}));
    best.noted_ns = std::min(best.noted_ns, AllReduceNs({&rings[0], &rings[1]}));
  }
  return best;
}

}  // namespace muster::trainer::collective
